"""Signing in by a mailed link: for people that launches brought or an admin invited, and for staff.

Whoever asks learns nothing about an address: the request writes the wish down, and a worker looks up whom it is from.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy import or_, select, update

from portal import job_queue
from portal.config import settings
from portal.db.transaction import after_commit, serialize, transaction
from portal.extensions import db
from portal.job_queue import Work
from portal.models import Message, SignInLink, Tenant, User, utcnow
from portal.models.identity import new_nonce
from portal.models.message import Kind
from portal.models.route import INTERACTIVE
from portal.models.tenant import TenantState
from portal.services import audit, limits
from portal.services.accounts import tenants, users
from portal.services.emails import contents
from portal.services.errors import LinkSent, NotPending, SendLimit
from portal.services.limits import Cause
from portal.services.outbox import accept as outbox
from portal.transport.mime.addresses import validate_address
from portal.transport.mime.build import MailContent

LINK_LIFE = timedelta(minutes=15)
# For one address, whether anybody has it or nobody: one link at a time, and no more than the mailbox has room for.
ASKED: limits.Limits = ((1, LINK_LIFE), *limits.ALLOWANCES[Cause.SIGN_IN].to_mailbox)
_JOB = Work.SIGN_IN
_SALT = "sign-in"
_BATCH = 100

log = logging.getLogger("portal.sign_in")


@dataclass(frozen=True)
class Place:
    """Where somebody may go in: a shop as one of its users, or as staff, whose `tenant` is None."""

    user: User
    tenant: Tenant | None


@dataclass(frozen=True)
class Link:
    """What a link leads to; `state`: pending, used, expired, removed, invalid."""

    state: str
    locale: str | None = None
    places: tuple[Place, ...] = ()


def ask(address: str, locale: str) -> str:
    """Write down that somebody wants to sign in; returns the address as it was understood.

    The same work for known and unknown addresses. `locale` is the page's: the mail speaks it, too.
    Raises InvalidAddress, LinkSent.
    """
    address = validate_address(address)
    key = address.lower()
    asked = SignInLink.address == key
    with transaction() as session:
        serialize(f"sign-in:{key}")
        next_at = limits.room_at(SignInLink.created_at, asked, ASKED)
        if next_at is not None:
            newest = select(SignInLink.created_at).where(asked).order_by(SignInLink.id.desc()).limit(1)
            raise LinkSent(session.scalars(newest).one(), next_at)
        at = utcnow()
        link = SignInLink(address=key, nonce=new_nonce(), locale=locale, created_at=at, expires_at=at + LINK_LIFE)
        session.add(link)
        session.flush()
        after_commit(partial(job_queue.enqueue_interactive, _JOB, link.id))
    return address


def send(link_id: int) -> None:
    """Mail the link if anybody has its address; once, however often it is called. The job's work."""
    with transaction() as session:
        claimed = session.execute(
            update(SignInLink)
            .where(SignInLink.id == link_id, SignInLink.considered_at.is_(None))
            .values(considered_at=utcnow())
        )
        if claimed.rowcount != 1:  # type: ignore[attr-defined]
            return
        link = session.get_one(SignInLink, link_id, populate_existing=True)
        places = _places(link)
        if not places:
            log.info("sign-in asked for by an address that nobody has")
            return
        if not _counted(link, places):
            log.info("sign-in link not mailed: the mailbox has had as many as it gets")
            return
        # In no shop's log: by its mail being there or not, a shop would learn whether the person has another one.
        outbox.accept(
            tenants.platform(),
            kind=Kind.SIGN_IN,
            to=places[0].user.email,
            subject=contents.subject(Kind.SIGN_IN, link.locale),
            data={"link": link.id},
            route=INTERACTIVE,
        )


def send_forgotten() -> None:
    """Those whose job was lost, or never made because Redis was away. The clock's work."""
    waiting = select(SignInLink.id).where(SignInLink.expires_at > utcnow(), SignInLink.considered_at.is_(None))
    for link_id in db.session.scalars(waiting.limit(_BATCH)).all():
        send(link_id)


def mail_content(message: Message) -> MailContent:
    """The mail, built at sending: its link is kept nowhere. Raises NotPending when it would be of no use any more."""
    link = db.session.get(SignInLink, (message.data or {}).get("link"), populate_existing=True)
    if link is None or link.used_at is not None or _is_old(link) or not _places(link):
        raise NotPending
    url = f"{settings().base_url}/sign-in/{_token(link)}"
    life = link.expires_at - link.created_at
    about = {"link": url, "minutes": life // timedelta(minutes=1), "hours": life // timedelta(hours=1)}
    return contents.build(Kind.SIGN_IN, message.subject, link.locale, **about)


def read_link(token: str) -> Link:
    """What the page behind a link says. Changes nothing: scanners open links and run scripts."""
    try:
        claim = _serializer().loads(token)
        number, nonce = int(claim["i"]), str(claim["n"])
    except (BadData, KeyError, TypeError, ValueError):
        return Link("invalid")
    link = db.session.get(SignInLink, number, populate_existing=True)
    if link is None or not secrets.compare_digest(link.nonce, nonce):
        return Link("expired")  # ours, and so old that its row is gone
    if link.used_at is not None:
        return Link("used", link.locale)
    if _is_old(link):
        return Link("expired", link.locale)
    places = _places(link)
    return Link("pending" if places else "removed", link.locale, places)


def enter(token: str, user_id: int | None = None) -> Link | Place:
    """The button: where the person goes in, and the link is used up; or what its page says instead.

    Somebody with several places says by `user_id` which one; until then nothing happens.
    """
    link = read_link(token)
    chosen = [place for place in link.places if user_id in (None, place.user.id)]
    if link.state != "pending" or len(chosen) != 1:
        return link
    number = int(_serializer().loads(token)["i"])
    with transaction() as session:
        place = chosen[0]
        if place.tenant is not None:
            tenants.lock(place.tenant)  # it isn't suspended, nor its people changed, before this is done
        # Of many presses at once one goes on; the older links of the same person have served, too.
        burnt = session.execute(
            update(SignInLink).where(SignInLink.id == number, SignInLink.used_at.is_(None)).values(used_at=utcnow())
        )
        if burnt.rowcount != 1:  # type: ignore[attr-defined]
            return Link("used", link.locale)
        user = session.get(User, place.user.id, populate_existing=True)
        if user is None or user.id not in {one.user.id for one in _places(session.get_one(SignInLink, number))}:
            return Link("removed", link.locale)
        session.execute(
            update(SignInLink)
            .where(SignInLink.address == user.email_key, SignInLink.used_at.is_(None))
            .values(used_at=utcnow())
        )
        user.seen_at, user.invited_at = utcnow(), None
        if place.tenant is not None:
            audit.record(place.tenant, user, "user_signed_in", audit.shown(user))
    log.info("signed in by a mailed link", extra={"fields": {"user": user.id, "tenant": user.tenant_id}})
    return Place(user, place.tenant)


def _counted(link: SignInLink, places: tuple[Place, ...]) -> bool:
    """Whether the mailbox has room for the link's mail, which then is counted. Within a transaction.

    Asking is limited by address, mails by mailbox, in which one person may be known by several. The last link that fits
    in stays good until there is room for the next: nobody who asks in another's name can keep that person out.
    """
    come = any(place.user.invited_at is None for place in places)
    cause, mailbox = Cause.SIGN_IN if come else Cause.FIRST_SIGN_IN, limits.mailbox_of(link.address)
    try:
        limits.count(cause, mailbox)
    except SendLimit:
        return False
    next_at = limits.next_possible(cause, mailbox)
    if next_at is not None:
        link.expires_at = max(link.expires_at, next_at)
    return True


def _places(link: SignInLink) -> tuple[Place, ...]:
    """Where the link leads its reader now: the shops by name, then staff.

    Whom launches bring the platform vouches for, as long as the last one isn't too old; whom an admin invited, or the
    operator added, comes in until they are removed. Somebody who was removed and is back needs a new link.
    """
    rows = db.session.execute(
        select(User, Tenant)
        .outerjoin(Tenant, Tenant.id == User.tenant_id)
        .where(
            User.email_key == link.address,
            User.created_at <= link.created_at,
            or_(Tenant.id.is_(None), Tenant.state == TenantState.ACTIVE),
            or_(Tenant.id.is_(None), User.launched_at.is_(None), User.launched_at > users.vouched_since()),
        )
        .order_by(Tenant.id.is_(None), Tenant.name, User.id)
    )
    return tuple(Place(user, tenant) for user, tenant in rows)


def _is_old(link: SignInLink) -> bool:
    return link.expires_at <= utcnow()


def _token(link: SignInLink) -> str:
    return str(_serializer().dumps({"i": link.id, "n": link.nonce}))


def _serializer() -> URLSafeSerializer:
    return URLSafeSerializer(settings().secret_key, salt=_SALT)
