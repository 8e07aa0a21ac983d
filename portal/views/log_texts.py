"""The log in plain words: what a state, an event and a reason mean for somebody who has never heard of SMTP.

A final 250 means that the next server took the message over, so nothing here says "delivered".
"""

from __future__ import annotations

from flask_babel import gettext

from portal.i18n import clock
from portal.models import LogEntry, Message

# Which sign and colour a state gets; the words say the same.
TONES = {
    "queued": "wait", "sending": "wait", "deferred": "wait", "held": "warn",
    "sent": "good", "unconfirmed": "warn", "failed": "bad", "cancelled": "off",
}  # fmt: skip


def choices() -> dict[str, dict[str, str]]:
    """The filters and their values, in the order of the lists; a value not in here doesn't exist."""
    return {"state": states(), "kind": kinds(), "period": periods()}


def labels() -> dict[str, str]:
    return {"state": gettext("State"), "kind": gettext("Kind"), "period": gettext("Period")}


def everything() -> dict[str, str]:
    """The first line of each filter's list."""
    return {"state": gettext("All states"), "kind": gettext("All kinds"), "period": gettext("Any time")}


def states() -> dict[str, str]:
    return {
        "queued": gettext("Waiting to be sent"),
        "sending": gettext("Being sent"),
        "deferred": gettext("Waiting for another try"),
        "held": gettext("On hold"),
        "sent": gettext("Accepted"),
        "unconfirmed": gettext("Outcome unknown"),
        "failed": gettext("Failed"),
        "cancelled": gettext("Cancelled"),
    }


def kinds() -> dict[str, str]:
    return {
        "order_update": gettext("Order update"),
        "vendor_notification": gettext("Vendor notification"),
        "customer_message": gettext("Customer message"),
        "verification": gettext("Email verification"),
    }


def periods() -> dict[str, str]:
    return {
        "1h": gettext("Last hour"),
        "24h": gettext("Last 24 hours"),
        "7d": gettext("Last 7 days"),
        "30d": gettext("Last 30 days"),
    }


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
    return states().get(message.state, message.state)


def event(entry: LogEntry) -> str:
    """One line of a message's timeline."""
    because = reason(entry.reason)
    texts = {
        "queued": gettext("Taken into the outbox"),
        "sending": gettext("Sending began"),
        "sent": gettext("The mail server accepted the message"),
        "deferred": gettext("Not accepted yet, another try will follow"),
        "held": gettext("Put on hold"),
        "resumed": gettext("Sending goes on"),
        "released": gettext("Sending was interrupted before anything was handed over; it starts anew"),
        "ambiguous": gettext(
            "The connection broke off while the server was accepting the message. It is sent once more; "
            "the recipient may get it twice."
        ),
        "sender_changed": gettext("The earlier sender may no longer be used; the message gets the one in force now"),
        "unconfirmed": gettext("The connection broke off again. Nobody can say whether the message was accepted."),
        "failed": gettext("The message could not be sent"),
        "cancelled": gettext("The message was cancelled"),
    }
    text = texts.get(entry.event, entry.event)
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
    return {
        "account_suspended": gettext("the mail account is suspended"),
        "app_password_required": gettext("the mail account needs an app password"),
        "bad_credentials": gettext("user name or password of the mail account is wrong"),
        "basic_auth_retired": gettext("the mail provider no longer accepts passwords here"),
        "browser_sign_in_required": gettext("the mail provider asks for a sign-in in the browser first"),
        "content_rejected": gettext("the recipient's server took it for spam"),
        "dns_failure": gettext("a domain could not be looked up"),
        "domain_authentication": gettext("the sender's domain doesn't allow this server to send for it"),
        "expired": gettext("it could not be sent within 48 hours"),
        "greylisted": gettext("the recipient's server asked to try later"),
        "interrupted": gettext("sending was interrupted"),
        "ip_blocked": gettext("the sending server is on a block list"),
        "local_error": gettext("the mail server has a problem of its own"),
        "mailbox_full": gettext("the recipient's mailbox is full"),
        "message_too_large": gettext("the message is too large"),
        "no_longer_wanted": gettext("it is no longer needed"),
        "policy_rejected": gettext("the recipient's server refused it by its rules"),
        "quota_daily": gettext("the mail account's daily limit is reached"),
        "rate_limited": gettext("too many messages in a short time"),
        "recipient_disabled": gettext("the recipient's mailbox is closed"),
        "relay_denied": gettext("the mail server doesn't send to this recipient"),
        "security_defaults": gettext("the organisation's security settings forbid this sign-in"),
        "send_as_denied": gettext("the mail account may not send from this address"),
        "sender_mailbox_full": gettext("the mail account's own mailbox is full"),
        "sender_not_verified": gettext("the mail server doesn't know the sender's address"),
        "service_unavailable": gettext("the mail server can't be reached at the moment"),
        "smtp_auth_disabled": gettext("sending with a password is switched off for the mail account"),
        "tls_required": gettext("the mail server asks for a secure connection"),
        "too_many_connections": gettext("too many connections at once"),
        "too_many_logins": gettext("too many sign-ins in a short time"),
        "unknown_recipient": gettext("this address does not exist"),
    }.get(key or "", "")
