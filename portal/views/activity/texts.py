"""The audit trail in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from portal.models import AuditEntry
from portal.transport.mime.addresses import readable_domains
from portal.views.people import texts as users_texts
from portal.web.i18n import gettext, lazy_gettext

ACTIONS = {
    "sender_started": lazy_gettext("Asked to confirm a sender address"),
    "sender_resent": lazy_gettext("Sent the confirmation email again"),
    "sender_cancelled": lazy_gettext("Cancelled the change of the sender address"),
    "sender_confirmed": lazy_gettext("Confirmed a sender address"),
    "sender_objected": lazy_gettext("Said that they didn't ask for this"),
    "sender_removed": lazy_gettext("Removed a sender address"),
    "sender_revoked": lazy_gettext("Took a sender address back as support"),
    "sender_chosen": lazy_gettext("Chose an address confirmed before"),
    "sender_default": lazy_gettext("Chose the default sender"),
    "driver_saved": lazy_gettext("Saved the own mail service"),
    "driver_used": lazy_gettext("Chose the own mail service as sender"),
    "driver_paused": lazy_gettext("Paused the own mail service"),
    "driver_resumed": lazy_gettext("Resumed the own mail service"),
    "driver_removed": lazy_gettext("Removed the own mail service"),
    "held_mail": lazy_gettext("Changed what happens while the own mail service can't send"),
    "user_invited": lazy_gettext("Invited a person"),
    "user_role": lazy_gettext("Changed what a person may do"),
    "user_removed": lazy_gettext("Removed a person"),
    "user_signed_out": lazy_gettext("Signed a person out everywhere"),
    "user_signed_in": lazy_gettext("Signed in by an emailed link"),
    "tenant_created": lazy_gettext("Set up the shop"),
    "tenant_changed": lazy_gettext("Changed the shop's data"),
    "sent_again": lazy_gettext("Sent a message again"),
    "support_viewed": lazy_gettext("Looked at the shop as support"),
}

FIELDS = {
    "sender": lazy_gettext("Sender"),
    "display_name": lazy_gettext("Display name"),
    "preset": lazy_gettext("Provider"),
    "host": lazy_gettext("Outgoing server"),
    "port": lazy_gettext("Port"),
    "encryption": lazy_gettext("Encryption"),
    "username": lazy_gettext("Username"),
    "secret": lazy_gettext("Password"),
    "from_address": lazy_gettext("Sender address"),
    "from_name": lazy_gettext("Sender name"),
    "held_mail": lazy_gettext("Mail meanwhile"),
    "role": lazy_gettext("Role"),
    "name": lazy_gettext("Name"),
    "plan": lazy_gettext("Plan"),
    "locale": lazy_gettext("Language"),
    "timezone": lazy_gettext("Timezone"),
    "frame_ancestors": lazy_gettext("May embed these pages"),
    "state": lazy_gettext("State"),
    "message": lazy_gettext("New message"),
}

VALUES = {
    ("state", "active"): lazy_gettext("active"),
    ("state", "suspended"): lazy_gettext("suspended"),
    ("held_mail", "wait"): lazy_gettext("waits"),
    ("held_mail", "default"): lazy_gettext("goes out through the default sender"),
    ("secret", "replaced"): lazy_gettext("replaced"),
    ("encryption", "tls"): lazy_gettext("SSL"),
    ("encryption", "starttls"): lazy_gettext("TLS"),
}

_WITH_DOMAINS = ("sender", "host", "username", "from_address")

# What support has looked at.
VIEWS = {
    "settings": lazy_gettext("Email configuration"),
    "log": lazy_gettext("Email logs"),
    "search": lazy_gettext("Search by recipient"),
    "activity": lazy_gettext("Activity"),
    "people": lazy_gettext("People"),
    "users": lazy_gettext("People"),  # as entries of the first version name it
}


@dataclass(frozen=True)
class Change:
    """One thing that differs; `before` or `after` is "" where there was or is nothing."""

    label: str
    before: str
    after: str


def who(entry: AuditEntry) -> str:
    if entry.role == "platform":
        return gettext("Your marketplace (%(name)s)", name=entry.who) if entry.who else gettext("Your marketplace")
    return readable_domains(entry.who)


def role(entry: AuditEntry) -> str:
    if entry.role == "recipient":
        return gettext("by the link in the email")
    return users_texts.role(entry.role) if entry.role != "platform" else ""


def subject(entry: AuditEntry) -> str:
    if entry.action != "support_viewed":
        return readable_domains(entry.subject)
    looked_at = VIEWS.get(entry.subject)
    return str(looked_at) if looked_at else gettext("Message %(number)s", number=entry.subject)


def changes(entry: AuditEntry) -> list[Change]:
    names = [*entry.before, *(name for name in entry.after if name not in entry.before)]
    return [
        Change(str(FIELDS.get(name, name)), _value(name, entry.before.get(name)), _value(name, entry.after.get(name)))
        for name in names
    ]


def _value(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "role":
        return users_texts.role(str(value))
    if isinstance(value, list):
        return readable_domains(", ".join(str(item) for item in value))
    if name in _WITH_DOMAINS:
        return readable_domains(str(value))
    return str(VALUES.get((name, value), value))
