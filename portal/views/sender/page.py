"""Email configuration: who mail comes from, and how a merchant's own address becomes the sender."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, g, make_response, render_template, request
from werkzeug.wrappers import Response

from portal.mailauth.free_mail import is_free_mail
from portal.models import utcnow
from portal.services import entitlements
from portal.services.errors import InvalidField, NotPending, NotVerified, SendLimit, TakenBack
from portal.services.routing import sender as senders
from portal.services.senders import identities, revocations, verification
from portal.services.senders.settings_page import DriverStatus, SenderSettings, driver_status, sender_settings
from portal.transport.mime.addresses import readable_address, searched_address
from portal.views import waiting_texts
from portal.views.driver import texts as driver_texts
from portal.views.errors import asked_too_often
from portal.views.log import texts as log_texts
from portal.views.sender.form import SenderForm
from portal.web.access import access
from portal.web.htmx import not_modified, see_other, tagged, wants_fragment
from portal.web.i18n import clock, gettext, reader
from portal.web.incoming import number
from portal.web.rate_limits import SWITCHING, VERIFICATION, limited
from portal.web.urls import place

blueprint = Blueprint("sender", __name__, url_prefix="/settings/email")
blueprint.add_app_template_global(waiting_texts.sentence, "waiting_sentence")


@dataclass(frozen=True)
class Notice:
    """A banner; `kind` is success, info or error."""

    kind: str
    text: str


def notice(key: str | None, sender: SenderSettings) -> Notice | None:
    """The banner after an action. Its key travels in the URL, so that it needs neither cookie nor JavaScript."""
    if not key:
        return None
    in_force = sender.from_header
    texts = {
        "verified": ("success", gettext("Confirmed. From now on your mail comes from %(sender)s.", sender=in_force)),
        "in_use": ("success", gettext("Done. From now on your mail comes from %(sender)s.", sender=in_force)),
        "cancelled": (
            "success",
            gettext("The change was cancelled. Your mail still comes from %(sender)s.", sender=in_force),
        ),
        "nothing_pending": ("info", gettext("That had been dealt with already. Here is how things stand now.")),
        "removed": ("success", gettext("The address was removed. Your emails come from %(sender)s.", sender=in_force)),
        "revoked": ("success", gettext("The shop can't send from this address any more.")),
        "not_verified": ("error", gettext("This address has to be confirmed before mail can come from it.")),
    }
    if sender.pending:
        to = readable_address(sender.pending.identity.address)
        texts |= {
            "sent": (
                "success",
                gettext("We sent an email to %(address)s. Open the link in it to confirm the address.", address=to),
            ),
            "on_its_way": ("info", gettext("An email to %(address)s is on its way already.", address=to)),
            "resent": (
                "success",
                gettext("We sent a new email to %(address)s. Links in older emails no longer work.", address=to),
            ),
            "limit": (
                "info",
                gettext("Please wait a little before the next email. Below you see when it is possible."),
            ),
        }
    found = texts.get(key) or driver_texts.notice(key)
    return Notice(*found) if found else None


def context(form: SenderForm | None = None, shown: Notice | None = None, **more: Any) -> dict[str, Any]:
    """What the page and each of its fragments are rendered from."""
    sender, driver = sender_settings(g.tenant), driver_status(g.tenant)
    return {
        "sender": sender,
        "tag": state_tag(sender),
        "form": form if form is not None else SenderForm(formdata=None),
        "notice": shown,
        "may_change": g.user.role == "admin",
        "is_free_mail": is_free_mail,
        "peace": revocations.PEACE,
        "wait": wait_seconds(sender),
        "log_texts": log_texts,
        "plan": entitlements.known().get(g.tenant.plan),
        "driver": driver,
        "driver_tag": driver_tag(driver, sender),
        "driver_texts": driver_texts,
        **more,
    }


def page(landing: str | None = None, form: SenderForm | None = None, status: int = 200) -> Response:
    values = context(form, landing=landing)
    values["notice"] = notice(request.args.get("notice"), values["sender"])
    return make_response(render_template("sender/page.html", **values), status)


def wait_seconds(sender: SenderSettings) -> int:
    """How long until another verification mail may be sent; 0 for now."""
    if sender.pending is None or sender.pending.resend_at is None:
        return 0
    return max(0, int((sender.pending.resend_at - utcnow()).total_seconds() + 0.999))


def state_tag(sender: SenderSettings) -> str:
    """Changes whenever the sender card would look different."""
    pending = sender.pending
    shown: list[object] = [sender.mode, sender.from_header, sender.active and sender.active.id, g.user.role]
    shown += [sender.daily_limit, str(reader().zone)]
    shown += [row.id for row in sender.taken_back]
    if pending:
        message = pending.message
        shown += [
            pending.identity.id,
            pending.identity.nonce,
            pending.identity.display_name,
            pending.resend_at,
            pending.expired,
        ]
        shown += [message.public_id, message.state, message.reason] if message else []
    return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]


def driver_tag(found: DriverStatus | None, sender: SenderSettings) -> str:
    """Changes whenever the card of the own mail service would look different."""
    if found is None:
        return ""
    driver = found.driver
    shown = [driver.version, driver.state, driver.reason, found.usage, found.waits_until, found.held, g.user.role]
    shown += [sender.chosen_mode, sender.driver_allowed, g.tenant.held_mail, str(reader().zone)]
    return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]


@blueprint.get("")
@access("viewer")
def get_page() -> Response:
    return page()


@blueprint.get("/sender")
@access("viewer", renews=False)
def get_sender() -> Response:
    """Polled while a verification is pending, so that a confirmation elsewhere shows here."""
    values = context(polled=True)
    unchanged = not_modified(values["tag"])
    if unchanged is not None:
        return unchanged
    awaited = request.args.get("awaited", type=number)
    active = values["sender"].active
    if awaited is not None and active is not None and active.id == awaited:
        values["notice"] = notice("verified", values["sender"])
    return tagged(render_template("sender/_update.html", **values), values["tag"])


@blueprint.post("/verification")
@access("admin")
@limited(VERIFICATION)
def post_verification() -> Response:
    form = SenderForm()
    try:
        identity = verification.start_verification(
            g.tenant, g.user, form.address.data or "", form.display_name.data or ""
        )
    except InvalidField as error:
        form.refuse(error)
        return invalid(form, 422)
    except TakenBack as refused:
        form.mark("address", taken_back(refused.until))
        return invalid(form, 422)
    except SendLimit as limit:
        if is_pending(form.address.data or ""):
            return done("on_its_way")  # the second click of a double click
        at = clock(limit.next_at)
        form.mark(
            "address",
            gettext("Too many verification emails were sent. The next one is possible at %(time)s.", time=at),
        )
        return asked_too_often(invalid(form, 429), limit)
    return done("in_use" if identity.state == "verified" else "sent", fresh_form=True)


@blueprint.post("/identities/<int:identity_id>/resend")
@access("admin")
@limited(VERIFICATION)
def post_resend(identity_id: int) -> Response:
    try:
        verification.resend_verification(g.tenant, g.user, identity_id)
    except SendLimit:
        return done("limit")
    except NotPending:
        return done("nothing_pending")
    return done("resent")


@blueprint.post("/identities/<int:identity_id>/cancel")
@access("admin")
def post_cancel(identity_id: int) -> Response:
    try:
        verification.cancel_pending(g.tenant, g.user, identity_id)
    except NotPending:
        return done("nothing_pending")
    return done("cancelled")


@blueprint.post("/identities/<int:identity_id>/use")
@access("admin")
@limited(SWITCHING)
def post_use(identity_id: int) -> Response:
    try:
        identities.use_identity(g.tenant, g.user, identity_id)
    except NotVerified:
        return done("not_verified")
    return done("in_use")


@blueprint.get("/identities/<int:identity_id>/remove")
@access("admin")
def get_remove(identity_id: int) -> Response:
    """Asks first; for support, too."""
    try:
        identity = identities.get_verified(g.tenant, identity_id)
    except NotVerified:
        return done("nothing_pending")
    sender = sender_settings(g.tenant)
    in_force = sender.active is not None and sender.active.id == identity.id
    waiting = waiting_texts.sent_too(identities.waiting(g.tenant, identity))
    values = {"identity": identity, "in_force": in_force, "waiting": waiting}
    after = senders.platform_sender().mailbox
    days = revocations.PEACE // timedelta(days=1)
    return make_response(render_template("sender/remove.html", after=after, days=days, **values))


@blueprint.post("/identities/<int:identity_id>/remove")
@access("admin")
def post_remove(identity_id: int) -> Response:
    try:
        identities.remove(g.tenant, g.user, identity_id)
    except NotVerified:
        return done("nothing_pending")
    return done("removed")


@blueprint.post("/default")
@access("admin")
@limited(SWITCHING)
def post_default() -> Response:
    identities.use_default(g.tenant, g.user)
    return done("in_use")


def taken_back(until: datetime) -> str:
    """Why the address can't be asked for, and when it can."""
    return gettext(
        "The person who reads the mail of this address didn't ask for this, or support has taken it back. "
        "You can try again after %(time)s.",
        time=clock(until),
    )


def is_pending(address: str) -> bool:
    pending = sender_settings(g.tenant).pending
    return pending is not None and pending.identity.address.lower() == searched_address(address)


def done(key: str, *, fresh_form: bool = False) -> Response:
    """After a change: the parts that may look different now, or the page anew where there is no JavaScript."""
    if not wants_fragment():
        return see_other(place("sender.get_page", notice=key))
    values = context(fresh_form=fresh_form)
    values["notice"] = notice(key, values["sender"])
    return make_response(render_template("sender/_update.html", **values))


def invalid(form: SenderForm, status: int) -> Response:
    if not wants_fragment():
        return page(form=form, status=status)
    return make_response(render_template("sender/_verification.html", **context(form)), status)
