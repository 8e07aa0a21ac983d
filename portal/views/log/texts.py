"""The log in plain words: what a state, an event and a reason mean for somebody who has never heard of SMTP.

A final 250 means that the next server took the message over, so nothing here says "delivered".
"""

from __future__ import annotations

from datetime import datetime, timedelta

from portal.models import LogEntry, Message, utcnow
from portal.models.route import Route
from portal.reasons import words as reasons
from portal.services.outbox import message_log
from portal.services.outbox.message_log import Listed
from portal.services.routing.lanes import Wait
from portal.transport.mime.addresses import readable_domains
from portal.web.i18n import clock, gettext, lazy_gettext

# Which sign and colour a state gets; the words say the same.
TONES = {
    "queued": "wait", "sending": "wait", "deferred": "wait", "held": "warn",
    "sent": "good", "unconfirmed": "warn", "failed": "bad", "cancelled": "off",
}  # fmt: skip


LABELS = {"state": lazy_gettext("State"), "kind": lazy_gettext("Kind"), "period": lazy_gettext("Period")}


# The first line of each filter's list.
EVERYTHING = {
    "state": lazy_gettext("All states"),
    "kind": lazy_gettext("All kinds"),
    "period": lazy_gettext("Any time"),
}


STATES = {
    "queued": lazy_gettext("Waiting to be sent"),
    "sending": lazy_gettext("Being sent"),
    "deferred": lazy_gettext("Waiting for another try"),
    "held": lazy_gettext("On hold"),
    "sent": lazy_gettext("Accepted"),
    "unconfirmed": lazy_gettext("Outcome unknown"),
    "failed": lazy_gettext("Failed"),
    "cancelled": lazy_gettext("Cancelled"),
}


KINDS = {
    "order_update": lazy_gettext("Order update"),
    "vendor_notification": lazy_gettext("Vendor notification"),
    "customer_message": lazy_gettext("Customer message"),
    "verification": lazy_gettext("Email verification"),
    "sender_confirmed": lazy_gettext("Sender address confirmed"),
    "driver_test": lazy_gettext("Test email"),
    "notice": lazy_gettext("Notice to administrators"),
    "sign_in": lazy_gettext("Sign-in link"),
    "invitation": lazy_gettext("Invitation"),
}


PERIODS = {
    "1h": lazy_gettext("Last hour"),
    "24h": lazy_gettext("Last 24 hours"),
    "7d": lazy_gettext("Last 7 days"),
    "30d": lazy_gettext("Last 30 days"),
}

# The filters and their values, in the order of the lists; a value not in here doesn't exist.
CHOICES = {"state": STATES, "kind": KINDS, "period": PERIODS}


# What may be said of the platform's own account: the rest is nothing that a merchant could mend.
_PLATFORMS_REASONS = ("rate_limited", "service_unavailable", "too_many_connections")
# What else the relay may say to mail of whichever shop; the shop reads that it is the marketplace's server, no more.
_RELAY_REFUSES = ("dns_failure", "ip_blocked", "local_error", "quota_daily", "unknown")
# Slowing down by some seconds is how sending works, and nothing to tell.
_PACE = timedelta(minutes=1)


def kind(key: str) -> str:
    """The message's kind."""
    return str(KINDS.get(key, key))


def state(message: Message | Listed, last: LogEntry | None = None, wait: Wait | None = None) -> str:
    """One line: where the message is, and why. `last` is its newest log entry; `wait` is its route's."""
    because = reason(message.reason)
    match message.state:
        case "sent":
            return gettext("Accepted by the mail server")
        case "deferred":
            until = (last and last.until) or message.due_at
            return _waiting(because, max(until, wait.until) if wait else until)
        case "held":
            return gettext("On hold: %(reason)s", reason=because) if because else gettext("On hold")
        case "failed":
            return gettext("Failed: %(reason)s", reason=because) if because else gettext("Failed")
        case "cancelled":
            return gettext("Cancelled: %(reason)s", reason=because) if because else gettext("Cancelled")
        case "unconfirmed" if message.reason == "restored":
            return gettext("Outcome unknown: %(reason)s", reason=because)
        case "unconfirmed":
            return gettext("Outcome unknown: the connection broke off")
        case "queued" if message_log.is_scheduled(message):
            return gettext("Scheduled for %(time)s", time=clock(message.due_at))
        case "queued" if message.ambiguous:
            return gettext("Being sent once more, because the connection broke off")
        case "queued" if wait is not None and not _is_pace(wait):
            return _waiting(_of_route(message.route, wait.reason), wait.until)
    return str(STATES.get(message.state, message.state))


def _of_route(route: Route, key: str) -> str:
    """Why a route waits, in words for a shop whose mail waits with it."""
    if route.driver_id is not None or key in _PLATFORMS_REASONS:
        return reason(key)
    if key in _RELAY_REFUSES:
        return gettext("your marketplace's mail server isn't accepting email at the moment")
    return ""


def _waiting(because: str, until: datetime) -> str:
    if because:
        return gettext("Waiting: %(reason)s, goes on at %(time)s", reason=because, time=clock(until))
    return gettext("Waiting: goes on at %(time)s", time=clock(until))


def _is_pace(wait: Wait) -> bool:
    return wait.reason == "rate_limited" and wait.until - utcnow() <= _PACE


def event(entry: LogEntry) -> str:
    """One line of a message's timeline."""
    because = reason(entry.reason)
    if entry.event == "resent":
        return gettext("Sent again as a new message by %(person)s", person=readable_domains(entry.text or ""))
    if entry.event == "sender_changed" and entry.reason is not None:
        return gettext("Goes out through the default sender, because your mail service can't send at the moment")
    if entry.event == "unconfirmed" and entry.reason == "restored":
        return gettext("Outcome unknown: %(reason)s", reason=because)
    text = str(_EVENTS.get(entry.event, entry.event))
    if because and entry.event in ("deferred", "held", "failed", "cancelled"):
        text = gettext("%(text)s: %(reason)s", text=text, reason=because)
    if entry.until is not None:
        text = gettext("%(text)s. Goes on at %(time)s.", text=text, time=clock(entry.until))
    return text


def server_words(entry: LogEntry) -> str | None:
    """The server's own words, for those who want to pass them on; None where it said nothing."""
    if not entry.code:
        return {
            "lost": gettext("No answer: the connection broke off."),
            "timeout": gettext("No answer in time."),
            "dns": gettext("The server's name could not be looked up."),
            "tls": gettext("No secure connection could be agreed on."),
        }.get(entry.text or "")
    return f"{entry.code} {entry.text or ''}".strip()


def reason(key: str | None) -> str:
    """Why, as the rest of a sentence; an unknown key says nothing rather than something wrong."""
    return reasons.phrase(key, gettext)


_EVENTS = {
    "queued": lazy_gettext("Taken into the outbox"),
    "sending": lazy_gettext("Sending began"),
    "sent": lazy_gettext("The mail server accepted the message"),
    "deferred": lazy_gettext("Not accepted yet, another try will follow"),
    "held": lazy_gettext("Put on hold"),
    "resumed": lazy_gettext("Sending goes on"),
    "released": lazy_gettext("Sending was interrupted before anything was handed over; it starts anew"),
    "ambiguous": lazy_gettext(
        "The connection broke off while the server was accepting the message. It is sent once more; "
        "the recipient may get it twice."
    ),
    "sender_changed": lazy_gettext("The earlier sender may no longer be used; the message gets the one in force now"),
    "unconfirmed": lazy_gettext("The connection broke off again. Nobody can say whether the message was accepted."),
    "failed": lazy_gettext("The message could not be sent"),
    "cancelled": lazy_gettext("The message was cancelled"),
}
