"""Counts for pages, which end somewhere: a page must not grow slower with what waits."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, func, select

from portal.extensions import db


def count_up_to(most: int, query: Select[Any]) -> int:
    """Return how many rows the query has, or `most` where there are as many or more."""
    return db.session.scalar(select(func.count()).select_from(query.limit(most).subquery())) or 0
