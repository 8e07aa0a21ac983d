"""A lane: one SMTP connection's worth of delivery on a route, taken by one drain at a time under a lease."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base
from portal.models.route import Route, RouteColumn


class Lane(Base):
    __tablename__ = "lane"
    __table_args__ = (UniqueConstraint("route", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    route: Mapped[Route] = mapped_column(RouteColumn)
    number: Mapped[int] = mapped_column(default=0)
    lease_token: Mapped[str | None] = mapped_column(String(32))
    leased_until: Mapped[datetime | None]
    not_before: Mapped[datetime | None]  # pace and back-off; nobody waits in a worker
    reason: Mapped[str | None] = mapped_column(String(40))  # why it backs off
    failures: Mapped[int] = mapped_column(default=0)  # sessions in a row that could not be opened
    turn: Mapped[int] = mapped_column(default=0)  # the tenant served last: the next one is after it
