"""What a provider's API has to tell: how a mail is asked to be sent, and how its answers are read.

One module each, listed in registry.py. An API that takes no MIME reads what it needs from the mail's bytes (the
standard library's email parser), so that the mail is composed once, whatever sends it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from email.utils import getaddresses
from typing import Any, NamedTuple

from portal.transport.base import Mail
from portal.transport.http.account import HTTPAccount
from portal.transport.http.answer import Answer
from portal.transport.http.session import Request


class Said(NamedTuple):
    """A refusal in the provider's own terms: its code, "" if it gave none, and its words."""

    code: str
    text: str


@dataclass(frozen=True)
class Service:
    """A provider's API. `key` is the provider of verdicts.classify, `url` where mails are posted.

    `request(mail, account, target)` makes the request for one mail; `said(answer)` reads a refusal; `accepted(answer)`
    returns the provider's words for a mail it took, or None where a 2xx isn't the answer that this API gives.
    """

    key: str
    url: str
    request: Callable[[Mail, HTTPAccount, str], Request]
    said: Callable[[Answer], Said]
    accepted: Callable[[Answer], str | None]


def bearer(account: HTTPAccount) -> dict[str, str]:
    return {"Authorization": f"Bearer {account.token}"}


def read_json(answer: Answer) -> dict[str, Any]:
    """The answer's JSON object; empty where it holds none, as a gateway's page."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def words_of(answer: Answer) -> str:
    """What there is to show of an answer without JSON: plain text alone, since a page of HTML tells nobody anything."""
    kind = (answer.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    return answer.body.decode("utf-8", "replace") if kind == "text/plain" else ""


def check_recipient(mail: Mail) -> None:
    """Raise ValueError unless the headers name nobody but the one recipient: some APIs send to whom they name."""
    head, _, _ = mail.content.partition(b"\r\n\r\n")
    headers = BytesHeaderParser().parsebytes(head + b"\r\n\r\n")
    lines = [str(value) for name in ("To", "Cc", "Bcc") for value in headers.get_all(name, [])]
    named = [address for _, address in getaddresses(lines)]
    wanted = mail.envelope.rcpt_to
    if len(named) > 1 or (named and _is_plain(named[0]) and _is_plain(wanted) and named[0].lower() != wanted.lower()):
        raise ValueError("the mail's headers name another recipient than its envelope")


def _is_plain(address: str) -> bool:
    """Whether an address has one way to be written: not in quotes, and nothing but ASCII."""
    return address.isascii() and '"' not in address and "@" in address
