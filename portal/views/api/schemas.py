"""What the API takes and answers, as types: requests are checked by them, and openapi.json is made from them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, Field, WithJsonSchema, field_validator, model_validator
from typing_extensions import TypedDict

from portal.models import utcnow
from portal.models.message import STATES
from portal.transport.mime import addresses
from portal.transport.mime.addresses import InvalidAddress
from portal.transport.mime.characters import in_one_line, is_line
from portal.transport.mime.recipients import parse_recipient
from portal.views.api import parsing
from portal.views.api.attachments import Attachments

MAX_KEY = 255
MAX_MAILBOX = 10_000  # characters: a long name is cut, and keeps no mail back
MOST_REMARKS = 20
MAX_REMARK = 500  # characters of a name or a value
LATEST = timedelta(days=7)
_DATE_TIME = {"type": "string", "format": "date-time"}
_TOO_LARGE = f"This must have at most {parsing.MAX_BODY:,} bytes."

_ADDRESS_SENTENCES = {
    "empty": "This must not be empty.",
    "too_long": "The address is too long: at most 254 characters, 64 of them before the @.",
    "line_break": "An address must not hold line breaks or control characters.",
    "non_ascii_local_part": "Before the @ only ASCII letters, digits and signs work: few servers accept others.",
    "no_such_domain_form": "What stands after the @ is not a domain name.",
}
_ZONE = re.compile(r"T.*(Z|[+-]\d\d:?\d\d)$")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")  # the shape of RFC 5646's tags


def _mailbox(text: str) -> addresses.Mailbox:
    try:
        return parse_recipient(text)
    except InvalidAddress as error:
        sentence = _ADDRESS_SENTENCES.get(error.reason, "This must be one e-mail address, such as jane@example.com.")
        raise ValueError(sentence) from None


def _language(text: str) -> str:
    tag = text.replace("_", "-")  # as POSIX spells it
    if not _LANGUAGE.fullmatch(tag):
        raise ValueError("This must be a language, such as en or de-AT.")
    return tag


def _body(text: str) -> str:
    if len(text.encode()) > parsing.MAX_BODY:
        raise ValueError(_TOO_LARGE)
    return text


def _subject(text: str) -> str:
    if not is_line(text):
        raise ValueError("A subject is one line without control characters.")
    if not text.strip():
        raise ValueError("This must not be empty.")
    return text.strip()


def _storable(text: str) -> str:
    """PostgreSQL stores no NUL, and no encoder takes half a surrogate pair."""
    try:
        if "\x00" not in text:
            text.encode()
            return text
    except UnicodeEncodeError:
        pass
    raise ValueError("This holds a character that can't be sent (NUL or an unpaired surrogate).")


def _moment(text: str) -> datetime:
    """A time that names its zone (RFC 3339), at most 7 days ahead; what is over by now means: at once."""
    try:
        at = datetime.fromisoformat(text.strip().upper().replace("Z", "+00:00")).astimezone(UTC)
        zoned = bool(_ZONE.search(text.strip().upper()))
    except (ValueError, OverflowError):
        zoned = False
    if not zoned:
        raise ValueError("This must be a time with its zone, such as 2026-12-24T18:00:00+01:00.")
    if at > utcnow() + LATEST:
        raise ValueError(f"This may be at most {LATEST.days} days ahead.")
    return at


def is_key(text: str) -> bool:
    """Whether it can be an idempotency key."""
    return 1 <= len(text) <= MAX_KEY and text.isascii() and text.isprintable()


def _key(text: str) -> str:
    if not is_key(text):
        raise ValueError(f"The key must have 1 to {MAX_KEY} printable ASCII characters.")
    return text


if TYPE_CHECKING:
    Mailbox = addresses.Mailbox  # what the validator makes of the text
else:
    Mailbox = Annotated[str, Field(max_length=MAX_MAILBOX), AfterValidator(_mailbox)]
Language = Annotated[str, Field(max_length=35), AfterValidator(_language)]
Subject = Annotated[str, Field(max_length=500), AfterValidator(_storable), AfterValidator(_subject)]
Body = Annotated[str, Field(max_length=parsing.MAX_BODY), AfterValidator(_storable), AfterValidator(_body)]
Reference = Annotated[str, Field(max_length=100), AfterValidator(_storable), AfterValidator(in_one_line)]
Remark = Annotated[str, Field(max_length=MAX_REMARK), AfterValidator(_storable)]
Thread = Annotated[str, Field(max_length=250), AfterValidator(_storable), AfterValidator(in_one_line)]
Moment = Annotated[str, Field(max_length=40), AfterValidator(_moment), WithJsonSchema(_DATE_TIME)]
Key = Annotated[str, AfterValidator(_key), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_KEY})]


class MessageRequest(parsing.Request):
    """One mail to one mailbox; `text`, `html`, or both. `locale` is the language they are in.

    `reference`, such as an order's number, is shown in the log and found there. `metadata` is given back as it is.
    Nothing goes out before `send_at` (up to 7 days ahead). Messages of one `thread` (any text, or the Message-ID of a
    mail that is answered) stand together in the recipient's mail program. An optional field that is "" counts as left
    out.
    """

    tenant: Annotated[str, Field(max_length=100), AfterValidator(_storable)]
    kind: Literal["order_update", "vendor_notification", "customer_message"]
    to: Mailbox
    subject: Subject
    text: Body | None = None
    html: Body | None = None
    reply_to: Mailbox | None = None
    locale: Language | None = None
    attachments: Attachments = []
    reference: Reference | None = None
    metadata: Annotated[dict[Remark, Remark], Field(max_length=MOST_REMARKS)] | None = None
    send_at: Moment | None = None
    thread: Thread | None = None

    _nothing = field_validator(
        "text", "html", "reply_to", "locale", "reference", "metadata", "send_at", "thread", mode="before"
    )(parsing.unless_blank)

    @model_validator(mode="after")
    def _has_a_body(self) -> MessageRequest:
        if not (self.text or self.html):
            raise ValueError("A message needs text, html, or both.")
        return self

    def fields(self) -> dict[str, Any]:
        """What becomes of the request a message: all but whose it is and its key."""
        own = self.__dict__
        return {name: own[name] for name in _FIELDS}


_FIELDS = tuple(name for name in MessageRequest.model_fields if name != "tenant")


class BatchItem(MessageRequest):
    """A message with an idempotency key of its own."""

    idempotency_key: Key | None = None


class BatchRequest(parsing.Request):
    """Each of `messages` is a BatchItem; it is checked, accepted or refused for itself."""

    messages: Annotated[
        list[Any],
        Field(min_length=1, max_length=parsing.MAX_BATCH),
        WithJsonSchema(
            {
                "type": "array",
                "minItems": 1,
                "maxItems": parsing.MAX_BATCH,
                "items": {"$ref": "#/components/schemas/BatchItem"},
            }
        ),
    ]


class TenantRequest(parsing.Request):
    """What is left out, null or "" stays as it is; a new tenant needs a name."""

    name: str | None = Field(None, max_length=200)
    plan: str | None = Field(None, max_length=100)
    locale: str | None = Field(None, max_length=35)
    timezone: str | None = Field(None, max_length=100)
    frame_ancestors: list[Annotated[str, Field(max_length=300)]] | None = None
    state: Literal["active", "suspended"] | None = None

    _nothing = field_validator("name", "plan", "locale", "timezone", "state", mode="before")(parsing.unless_blank)


State = Annotated[str, WithJsonSchema({"type": "string", "enum": list(STATES)})]
Time = Annotated[str, WithJsonSchema(_DATE_TIME)]


class MessageState(TypedDict):
    """Which message it is, and where it is now; `reason` says why it is held."""

    id: str
    state: State
    reason: NotRequired[str]


class BatchAccepted(MessageState):
    """The answer for one message of a batch."""

    status: Literal[202]


class LogEntryShown(TypedDict):
    """One thing that happened to the message."""

    at: Time
    event: str
    reason: str | None
    code: int | None
    text: str | None
    sender: str | None
    until: Time | None


class MessageShown(TypedDict):
    """What was handed in, and what became of it. `waits_until`: before then it isn't tried, and `reason` says why."""

    id: str
    tenant: str
    kind: str
    to: str
    subject: str
    state: State
    reason: str | None
    waits_until: Time | None
    sender: str | None
    message_id: str
    accepted_at: Time
    send_at: Time | None
    reference: str | None
    metadata: dict[str, str]
    log: list[LogEntryShown]


class TenantShown(TypedDict):
    """The tenant as it is now; `mails_per_day` is its plan's limit (UTC), `mails_today` what has counted of it."""

    tenant: str
    name: str
    plan: str
    locale: str
    timezone: str
    frame_ancestors: list[str]
    state: str
    mails_per_day: int | None
    mails_today: int


class FieldProblem(TypedDict):
    """`pointer` is a JSON pointer into the request (RFC 6901)."""

    pointer: str
    detail: str


class Problem(TypedDict):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: NotRequired[list[FieldProblem]]
    retry_after: NotRequired[int]
    state: NotRequired[State]


class BatchAnswer(TypedDict):
    """One result for each message, in their order."""

    results: list[BatchAccepted | Problem]
