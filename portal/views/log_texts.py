"""The log in plain words: what a state, an event and a reason mean for somebody who has never heard of SMTP.

A final 250 means that the next server took the message over, so nothing here says "delivered".
"""

from __future__ import annotations

from flask_babel import gettext, lazy_gettext

from portal.i18n import clock
from portal.models import LogEntry, Message

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
}


PERIODS = {
    "1h": lazy_gettext("Last hour"),
    "24h": lazy_gettext("Last 24 hours"),
    "7d": lazy_gettext("Last 7 days"),
    "30d": lazy_gettext("Last 30 days"),
}

# The filters and their values, in the order of the lists; a value not in here doesn't exist.
CHOICES = {"state": STATES, "kind": KINDS, "period": PERIODS}


def state(message: Message, last: LogEntry | None = None) -> str:
    """One line: where the message is, and why."""
    because = reason(message.reason)
    match message.state:
        case "sent":
            return gettext("Accepted by the mail server")
        case "deferred":
            at = clock((last and last.until) or message.due_at)
            if because:
                return gettext("Waiting: %(reason)s, goes on at %(time)s", reason=because, time=at)
            return gettext("Waiting: goes on at %(time)s", time=at)
        case "held":
            return gettext("On hold: %(reason)s", reason=because) if because else gettext("On hold")
        case "failed":
            return gettext("Failed: %(reason)s", reason=because) if because else gettext("Failed")
        case "cancelled":
            return gettext("Cancelled: %(reason)s", reason=because) if because else gettext("Cancelled")
        case "unconfirmed":
            return gettext("Outcome unknown: the connection broke off")
        case "queued" if message.ambiguous:
            return gettext("Being sent once more, because the connection broke off")
    return str(STATES.get(message.state, message.state))


def event(entry: LogEntry) -> str:
    """One line of a message's timeline."""
    because = reason(entry.reason)
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
    return str(_REASONS.get(key or "", ""))


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

_REASONS = {
    "account_suspended": lazy_gettext("the mail account is suspended"),
    "address_unsupported": lazy_gettext("the mail server can't handle an address like this"),
    "app_password_required": lazy_gettext("the mail account needs an app password"),
    "bad_credentials": lazy_gettext("user name or password of the mail account is wrong"),
    "basic_auth_retired": lazy_gettext("the mail provider no longer accepts passwords here"),
    "browser_sign_in_required": lazy_gettext("the mail provider asks for a sign-in in the browser first"),
    "content_rejected": lazy_gettext("the recipient's server took it for spam"),
    "dns_failure": lazy_gettext("a domain could not be looked up"),
    "domain_authentication": lazy_gettext("the sender's domain doesn't allow this server to send for it"),
    "expired": lazy_gettext("it could not be sent within 48 hours"),
    "greylisted": lazy_gettext("the recipient's server asked to try later"),
    "interrupted": lazy_gettext("sending was interrupted"),
    "ip_blocked": lazy_gettext("the sending server is on a block list"),
    "local_error": lazy_gettext("the mail server has a problem of its own"),
    "mailbox_full": lazy_gettext("the recipient's mailbox is full"),
    "message_too_large": lazy_gettext("the message is too large"),
    "no_longer_wanted": lazy_gettext("it is no longer needed"),
    "policy_rejected": lazy_gettext("the recipient's server refused it by its rules"),
    "quota_daily": lazy_gettext("the mail account's daily limit is reached"),
    "rate_limited": lazy_gettext("too many messages in a short time"),
    "recipient_disabled": lazy_gettext("the recipient's mailbox is closed"),
    "relay_denied": lazy_gettext("the mail server doesn't send to this recipient"),
    "security_defaults": lazy_gettext("the organisation's security settings forbid this sign-in"),
    "send_as_denied": lazy_gettext("the mail account may not send from this address"),
    "sender_mailbox_full": lazy_gettext("the mail account's own mailbox is full"),
    "sender_not_verified": lazy_gettext("the mail server doesn't know the sender's address"),
    "service_unavailable": lazy_gettext("the mail server can't be reached at the moment"),
    "smtp_auth_disabled": lazy_gettext("sending with a password is switched off for the mail account"),
    "tls_failed": lazy_gettext("no secure connection to the mail server could be made"),
    "tls_required": lazy_gettext("the mail server asks for a secure connection"),
    "too_many_connections": lazy_gettext("too many connections at once"),
    "too_many_logins": lazy_gettext("too many sign-ins in a short time"),
    "unknown_recipient": lazy_gettext("this address does not exist"),
}
