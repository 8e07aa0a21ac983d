"""The database's time as the clock processes have followed it: one row (docs/decisions/0019)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Float, String, exists, or_
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, BigId, now

JUMP_SECONDS = 30.0  # less is an adjustment: it moves the end of a mail's 48 hours by as little


class TimeWatch(Base):
    __tablename__ = "time_watch"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seen_at: Mapped[datetime]  # up to here the time has passed as it should, or what waits was moved
    # Who saw it: the machine since its start, and the seconds since then. By them elapsed time is told after a restart.
    boot: Mapped[str] = mapped_column(String(36))
    uptime: Mapped[float] = mapped_column(Float)
    # The last jump: by how many seconds, and when that was seen, in the time after it.
    jump: Mapped[float | None] = mapped_column(Float)
    jumped_at: Mapped[datetime | None]
    # While messages are being moved by it: those up to here are, and those up to there have to be.
    moved_to: Mapped[int | None] = mapped_column(BigId)
    move_until: Mapped[int | None] = mapped_column(BigId)


# False while nobody has followed the time up to now: a jump that isn't judged yet, or no clock process.
IS_FOLLOWED = ~exists().where(
    or_(
        TimeWatch.seen_at < now(-JUMP_SECONDS),
        TimeWatch.seen_at > now(JUMP_SECONDS),
        TimeWatch.move_until.is_not(None),
    )
)
