"""Whether what the product needs is there."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from portal.extensions import db
from portal.models import Lane


def database_answers() -> bool:
    """Whether the database can be reached and has our tables."""
    try:
        db.session.execute(select(Lane.id).limit(1))
    except SQLAlchemyError:
        db.session.rollback()
        return False
    return True
