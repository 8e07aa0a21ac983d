"""What is known of a provider that merchants send through: where to connect, as whom, how fast, and its words.

Texts that people read are marked with `N_` and translated where they are shown.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Literal, NamedTuple

from portal.reasons import N_
from portal.typed import trimmed

Encryption = Literal["tls", "starttls"]  # implicit TLS (the form's SSL) and STARTTLS (the form's TLS)


class Endpoint(NamedTuple):
    port: int
    encryption: Encryption


TLS = Endpoint(465, "tls")
STARTTLS = Endpoint(587, "starttls")
STARTTLS_2525 = Endpoint(2525, "starttls")


class Group(Enum):
    """Where a provider stands on the page, from top to bottom."""

    MAIN = "main"  # large, with a hint
    MAILBOXES = "mailboxes"
    SENDING_SERVICES = "sending services"


class FromRule(Enum):
    """Which From addresses are accepted; the value is the hint beside the field."""

    # The account's own addresses only.
    ACCOUNT = N_("The address that your customers see: that of the account, or an alias of it.")
    # Only what was verified with the provider beforehand.
    VERIFIED = N_("The address that your customers see. It must be confirmed at your provider.")
    # Nothing is known.
    ANY = N_("The address that your customers see.")


@dataclass(frozen=True)
class SignIn:
    """Sign-in with a username and a password, and the hints beside the two fields.

    `fixed_username`: everybody's, filled in by the form; `username_hint` may name it as %(word)s.
    `app_password`: a regular expression for what loses the blanks within it when it is pasted. App passwords are shown
    in groups, and the blanks between these don't belong to them; in a password of one's own they do.
    """

    username_hint: str
    secret_hint: str = N_("It is stored encrypted and never shown again.")
    secret_label: str = N_("Password")
    fixed_username: str | None = None
    app_password: str = ""

    def pasted(self, secret: str) -> str:
        """The password without what was copied along with it."""
        secret = trimmed(secret)
        return re.sub(r"\s", "", secret) if re.fullmatch(self.app_password, secret) else secret


APP_PASSWORD_ONLY = r"[\s\S]*"  # no other password signs in

MAILBOX = SignIn(N_("Your full email address at this provider."))
ISSUED = SignIn(N_("As your provider shows it; often the full email address."))
LETTERS = SignIn(  # Google's and Yahoo's app passwords
    MAILBOX.username_hint,
    N_("The app password: 16 letters, not your normal password. Spaces don't matter."),
    N_("App password"),
    app_password=APP_PASSWORD_ONLY,
)
KEY = SignIn(ISSUED.username_hint, N_("The key that your provider shows you once."))


def key_of(word: str) -> SignIn:
    """The password is a key, the username the same word for everybody."""
    return SignIn(N_("Stays the word “%(word)s”."), KEY.secret_hint, fixed_username=word)


@dataclass(frozen=True)
class Limits:
    """How fast an account may send, in recipients.

    `per_day`: in a rolling day; None: no such limit is published, or each plan has its own.
    `per_day_at`: another number for mailboxes at these domains.
    `connections`: how many are safe to open at a time, 1 where that is unknown.
    `idle_seconds`: how long an open one may wait for the next mail; None: as long as PORTAL_SMTP_IDLE_SECONDS says.
    `source`: the page that says so, as read in the month `checked` (YYYY-MM).
    """

    per_minute: int | None = None
    per_day: int | None = None
    per_day_at: Mapping[str, int] = field(default_factory=dict)
    connections: int = 1
    idle_seconds: float | None = None
    source: str = ""
    checked: str = ""


@dataclass(frozen=True, kw_only=True)
class Provider:
    """A provider's SMTP submission service. What most mailboxes have in common is the default.

    `key` is the name of the module, and what the database keeps.
    `host` is filled in by the form; it may be one region's of several. `hosts`: a regular expression for every host
    name (in lower case) that shares the limits. `endpoints`: the default first.
    `replaces_from`: the warning where an address that isn't the account's is replaced silently.
    `help_url` may differ by language. `hint`: whom a main choice is for. `place`: counts within the group; providers
    without one come last, by name.
    """

    key: str
    name: str
    group: Group = Group.MAILBOXES
    host: str
    hosts: str
    endpoints: tuple[Endpoint, ...] = (TLS, STARTTLS)
    sign_in: SignIn = MAILBOX
    from_rule: FromRule = FromRule.ACCOUNT
    help_url: str
    limits: Limits
    replaces_from: str = ""
    hint: str = ""
    place: int = 100

    @property
    def guide(self) -> str:
        """The template of what to do at the provider."""
        return f"driver/guides/{self.key}.html"

    def daily_limit(self, username: str) -> int | None:
        """Recipients in a rolling day, where a number is known that holds for this account."""
        return self.limits.per_day_at.get(username.lower().rpartition("@")[2], self.limits.per_day)


sending_service = partial(
    Provider,
    group=Group.SENDING_SERVICES,
    endpoints=(STARTTLS, TLS, STARTTLS_2525),
    sign_in=ISSUED,
    from_rule=FromRule.VERIFIED,
)
