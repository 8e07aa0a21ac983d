"""How much mail people may cause: to one mailbox, whoever asks, and by one tenant; counted in rows of the database.

Each cause has its own share of what a mailbox may get in a day (PER_DAY), and none takes from another's: whoever uses
up a mailbox's invitations leaves its sign-in links and its verification mail untouched.

Unlike portal.web.rate_limits, which counts requests in Redis, these counts survive the loss of Redis.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import InstrumentedAttribute

from portal.db.transaction import serialize
from portal.extensions import db
from portal.models import MailCount, Tenant, utcnow
from portal.services.errors import SendLimit
from portal.transport.mime.addresses import InvalidAddress, ascii_domain

Limits = tuple[tuple[int, timedelta], ...]  # at most so many in so long, each of them
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

PER_DAY = 20  # mails to one mailbox in any 24 hours, of all causes together: what their shares add up to
KEPT = 2 * _DAY  # so long a count is kept: no limit looks back further than a day


class Cause(StrEnum):
    """Why a mail goes out that a person has caused; those of our own mails are called like their message's Kind."""

    VERIFICATION = "verification"
    SENDER_CONFIRMED = "sender_confirmed"
    SIGN_IN = "sign_in"
    FIRST_SIGN_IN = "first_sign_in"  # to somebody who was invited and hasn't come yet
    INVITATION = "invitation"
    NOTICE = "notice"
    SEND_AGAIN = "send_again"
    DRIVER_TEST = "driver_test"


@dataclass(frozen=True)
class Allowance:
    """How much one cause may send to a mailbox, and for a tenant."""

    to_mailbox: Limits
    by_tenant: Limits = ()


ALLOWANCES = {
    Cause.VERIFICATION: Allowance(((1, _MINUTE), (3, _HOUR), (5, _DAY)), ((20, _DAY),)),
    Cause.SIGN_IN: Allowance(((4, 12 * _HOUR), (6, _DAY))),
    # Anybody can be invited under many spellings of their address: what these get, others of the mailbox keep.
    Cause.FIRST_SIGN_IN: Allowance(((2, _DAY),)),
    Cause.INVITATION: Allowance(((2, _DAY),), ((50, _DAY),)),
    Cause.NOTICE: Allowance(((2, _DAY),)),
    Cause.SEND_AGAIN: Allowance(((3, _DAY),), ((30, _HOUR), (100, _DAY))),
    # Whoever reads the mailbox has just pressed the button: it takes nothing from the share of what others cause. Its
    # way back stands in the mail before the button, too.
    Cause.SENDER_CONFIRMED: Allowance(((1, _DAY),)),
    # Goes to the address of the person who asks, through the account that they name: counted for that account, which
    # stands in the mailbox's place. It takes nothing from the person's share.
    Cause.DRIVER_TEST: Allowance(((30, _HOUR), (100, _DAY)), ((60, _HOUR), (200, _DAY))),
}


def count(cause: Cause, mailbox: str, tenant: Tenant | None = None) -> None:
    """Count one mail that is about to be written. Within a transaction, the same as the mail's. Raises SendLimit.

    `mailbox` as mailbox_of or account_of returns it. Of many at the same moment one after another is counted.
    """
    serialize(f"{cause}:{mailbox}")
    if tenant is not None and ALLOWANCES[cause].by_tenant:
        serialize(f"{cause} by {tenant.id}")
    next_at = next_possible(cause, mailbox, tenant)
    if next_at is not None:
        raise SendLimit(next_at)
    db.session.add(MailCount(mailbox=mailbox, kind=cause, tenant_id=tenant.id if tenant is not None else None))


def next_possible(cause: Cause, mailbox: str, tenant: Tenant | None = None) -> datetime | None:
    """When the next mail fits in; None: now."""
    allowed, counted = ALLOWANCES[cause], MailCount.kind == cause
    waits = [room_at(MailCount.at, counted & (MailCount.mailbox == mailbox), allowed.to_mailbox)]
    if tenant is not None:
        waits.append(room_at(MailCount.at, counted & (MailCount.tenant_id == tenant.id), allowed.by_tenant))
    return _latest(waits)


def room_at(at: InstrumentedAttribute[datetime], counted: ColumnElement[bool], limits: Limits) -> datetime | None:
    """When the next one fits in again, by the strictest of the limits; None: now.

    `at` is the column with each row's time, `counted` says which rows count.
    """
    now = utcnow()
    waits = []
    for most, window in limits:
        # Room comes when the oldest of the last `most` rows leaves the window. Rows ahead are of a time that was set
        # back: they would keep it closed until then.
        rows = select(at).where(counted, at > now - window, at < now + _MINUTE).order_by(at.desc())
        oldest = db.session.scalar(rows.offset(most - 1).limit(1))
        if oldest is not None:
            waits.append(oldest + window)
    return _latest(waits)


def mailbox_of(address: str) -> str:
    """Return the one name of the mailbox that an address leads to, however the address is spelled.

    The domain in lower case and as A-labels (RFC 5891), the local part folded, without what stands behind its first
    plus: shop+1@ and shop+2@ are one person's inbox. At Gmail dots don't matter either
    (https://support.google.com/mail/answer/7436150).
    """
    local, _, domain = unicodedata.normalize("NFKC", address).strip().rpartition("@")
    with suppress(InvalidAddress):  # no mail goes there; it counts as it stands
        domain = ascii_domain(domain)
    local = local.casefold()
    local = local.partition("+")[0] or local
    if domain in ("gmail.com", "googlemail.com"):
        return f"{local.replace('.', '')}@gmail.com"
    return f"{local}@{domain}"


def account_of(username: str, host: str) -> str:
    """What stands for a mail account in the counts."""
    return f"{username.casefold()} at {host.lower()}"


def _latest(waits: Iterable[datetime | None]) -> datetime | None:
    return max((at for at in waits if at is not None), default=None)
