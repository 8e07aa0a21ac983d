"""Mail that people have caused: what the limits to one mailbox and by one tenant count."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, utcnow


class MailCount(Base):
    """One mail; the row goes once no limit looks back that far."""

    __tablename__ = "mail_count"
    __table_args__ = (
        Index("ix_mail_count_mailbox", "mailbox", "kind", "at"),
        Index("ix_mail_count_tenant", "tenant_id", "kind", "at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    mailbox: Mapped[str] = mapped_column(String(600))  # limits.mailbox_of(); of a driver's test limits.account_of()
    kind: Mapped[str] = mapped_column(String(30))  # limits.Cause
    # Who caused it; None: a stranger. The count to the mailbox outlives the tenant.
    tenant_id: Mapped[int | None] = mapped_column(ForeignKey("tenant.id", ondelete="SET NULL"))
    at: Mapped[datetime] = mapped_column(default=utcnow)
