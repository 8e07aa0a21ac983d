"""A refusal: mail of a tenant was refused in words that may concern its whole route. One row for each of both."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base
from portal.models.message import BigId
from portal.models.route import Route, RouteColumn


class Refusal(Base):
    __tablename__ = "refusal"

    route: Mapped[Route] = mapped_column(RouteColumn, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenant.id", ondelete="CASCADE"), primary_key=True)
    # The last one refused; by it the recipient is known. Indexed, because deleting a message looks here.
    message_id: Mapped[int] = mapped_column(BigId, ForeignKey("message.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime]  # when that was
    since: Mapped[datetime]  # when the first one in a row was
    in_a_row: Mapped[int] = mapped_column(default=0)  # to one recipient after the other, and nothing sent between
    not_before: Mapped[datetime | None]  # the tenant's mail on this route waits until then
    reason: Mapped[str] = mapped_column(String(40))  # why
