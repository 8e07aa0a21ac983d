"""What every transport offers and how it fails, whatever protocol it speaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple, Protocol

from portal.transport import destinations

# What `on_step` hears, in this order; a route without encryption or sign-in skips those two.
STEPS = ("resolve", "connect", "tls", "sign_in", "sender", "recipient", "accepted")
# The same over HTTP: account reached, sign-in accepted, sender allowed, message accepted. A provider's answer to the
# mail tells all but the first at once.
HTTP_STEPS = ("reached", "sign_in", "sender", "accepted")
# Heard besides, as often as it happens: the server refused one way of signing in, and the other one is tried.
OTHER_SIGN_IN = "other_sign_in"
# Heard besides: a step takes long, but it moves on (another address is tried, a block of the mail is written).
PROGRESS = "progress"

Stage = Literal["session", "message", "handover"]
Scope = Literal["session", "message"]
OnStep = Callable[[str], None]


class Action(StrEnum):
    """What a failure asks for."""

    RETRY_MESSAGE = "retry_message"
    FAIL_MESSAGE = "fail_message"
    PAUSE_DRIVER = "pause_driver"
    BACKOFF_DRIVER = "backoff_driver"


class Verdict(NamedTuple):
    """What a refusal means: what to do, and the key of its explanation.

    `retry_after` is in seconds, as the server named it. `scope` is "session" where the next mail would meet the same.
    """

    action: str
    reason: str
    retry_after: int | None = None
    scope: Scope = "message"


class Envelope(NamedTuple):
    """Reverse-path ("" is the null path) and the one recipient (RFC 5321 section 2.3.1)."""

    mail_from: str
    rcpt_to: str


class Mail(NamedTuple):
    """One mail as it is handed over: its envelope, and its bytes with CRLF line ends."""

    envelope: Envelope
    content: bytes


class Receipt(NamedTuple):
    """How the next server accepted a mail; over HTTP `code` is the status, and `text` has the provider's own id."""

    code: int
    text: str


@dataclass(frozen=True)
class Reply:
    """What the server said; over HTTP `code` is the status.

    Code 0: it said nothing, and text is lost, timeout, dns, tls or unsupported.
    """

    code: int
    text: str
    detail: str = ""


@dataclass(frozen=True)
class Timeouts:
    """Seconds that each part of a session may take (RFC 5321 section 4.5.3.2).

    `connect` is for all addresses of a server together, `greeting` for each; `block` for each BLOCK of a mail, which
    `transfer` bounds as a whole; `dot` for the reply to it. `session` ends everything else.
    """

    connect: float = 10
    greeting: float = 60
    command: float = 30
    block: float = 180
    transfer: float = 1200
    dot: float = 120
    session: float = 300


@dataclass(frozen=True)
class Network:
    """How the outside is reached: which addresses may be dialled, whom TLS trusts besides the system's authorities."""

    policy: destinations.Policy = field(default_factory=lambda: destinations.PUBLIC)
    ca_file: str | None = None
    local_hostname: str | None = None  # our own name for EHLO; found out where it isn't given


class TransportFailure(Exception):
    """The mail, or the session for it, got no further.

    `stage`: session (no mail can be sent), message (this one was refused before it was handed over) or handover.
    `ambiguous`: nobody knows whether the server took the mail. `used_up`: the server only ended a connection that had
    carried mail, so that the same mail may go out at once on a new one. `closing`: the server said that it ends the
    session, so it meant more than this mail. `unreached`: nothing answered in the protocol.
    """

    def __init__(self, stage: Stage, ambiguous: bool, verdict: Verdict, reply: Reply) -> None:
        super().__init__(stage, ambiguous, verdict, reply)
        self.stage = stage
        self.ambiguous = ambiguous
        self.verdict = verdict
        self.reply = reply
        self.used_up = False
        self.closing = False
        self.unreached = False

    def __str__(self) -> str:
        return f"{self.stage}: {self.reply.code} {self.reply.text}"


class Stopped(Exception):
    """`before_handover` said no: the mail was not handed over, so the server hasn't got it."""


class Transport(Protocol):
    """A way to hand over mail after mail. It is told where to report its steps when it is made."""

    num_emails: int  # handed over since it was opened, whatever came of them
    on_step: OnStep

    @property
    def usable(self) -> bool:
        """Whether another mail may be started here."""

    def open(self) -> None:
        """Get as far as mail can be sent. Raises TransportFailure of stage "session", and leaves nothing open."""

    def send(self, mail: Mail, before_handover: Callable[[], bool]) -> Receipt:
        """Hand over one mail.

        `before_handover` is called once, at the last moment at which the server certainly has no mail. If it returns
        False (Stopped) or raises, nothing is handed over and the transport is no longer usable. Raises
        TransportFailure.
        """

    def abort(self) -> None:
        """From another thread: end what `open` or `send` waits for, which then fails as if the server had gone."""

    def close(self) -> None:
        """End the session. Never raises, and changes nothing about the mails that were sent."""
