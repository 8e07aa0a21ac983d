"""Whatever reads outside text works in proportion to it, or to its first part.

READERS names every function that reads text from outside; a new one is added there. Two have tests of their own, with
pieces that only they can stumble over: the text of an HTML mail (transport/mime/test_html_to_text.py) and a driver's
settings (services/drivers/test_settings.py). What forms and queries bring is cut to a length before anybody sees it
(portal.web.incoming); the values in a call's JSON are counted first (portal.views.api.parsing).
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from email.message import Message

import pytest
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from portal import launch_keys, origins, providers, typed
from portal.log_format import Formatter
from portal.models.message import is_public_id
from portal.services.accounts import support_search, tenants
from portal.services.drivers.settings import host_and_port
from portal.transport import oauth
from portal.transport.http import answer, verdicts
from portal.transport.http.account import HTTPAccount, readable
from portal.transport.http.verdict_rules import RULES
from portal.transport.mime import addresses, attachments, headers, names, recipients
from portal.transport.mime.addresses import InvalidAddress
from portal.transport.mime.attachments import Attachment
from portal.transport.mime.build import _part
from portal.transport.mime.lookalikes import is_in
from portal.transport.smtp.replies import classify
from portal.views import csv_files
from portal.views.api import parsing, schemas
from portal.web import i18n, urls
from portal.web.incoming import Fields
from tests.support.growth import growth

pytestmark = pytest.mark.any_database

PIECES = (
    "a", " ", "a@", "@", "1.", "0:", "try again in 3 ", "rate limited because ", "<", "http://", "\n", "5.7.1 ", "[0.",
    '"a" ', "a.", "xn--", "ü", "=?", '\\"', "a,", ";q=", "=", "\x00", "/", "[",
)  # fmt: skip
numbers = iter(range(10**9))


def fresh(text: str) -> str:
    """Another text each time, for functions that remember what they have read."""
    return f"{next(numbers)} {text}"


def log_line(text: str) -> str:
    record = logging.LogRecord("portal", logging.INFO, "", 0, "event", None, None)
    record.fields = {"said": f"{text} @"}
    return Formatter().format(record)


def message(text: str) -> None:
    fields = dict.fromkeys(["tenant", "to", "subject", "text", "html", "reply_to", "locale", "idempotency_key"], text)
    with suppress(parsing.Unusable):
        parsing.validated(
            schemas.BatchItem, fields | {"attachments": [{"filename": text, "content_type": text, "content": text}]}
        )


def launch(text: str) -> None:
    with suppress(launch_keys.Unverified):
        launch_keys.claims(text, secret="s" * 40, jwks=None)


def api_answer(text: str) -> None:
    for provider in RULES:
        verdicts.classify(provider, 400, text, text)


def retry_after(text: str) -> int | None:
    headers = Message()
    headers["Retry-After"] = headers["Date"] = text.replace("\n", " ")
    return answer.retry_after(headers)


def sign_in(text: str) -> None:
    for where in ("callback", "refresh", "smtp"):
        oauth.classify("microsoft", where, text, text)


def language(text: str) -> str | None:
    return parse_accept_header(text, LanguageAccept).best_match(["en", "de"])


# What raises InvalidAddress does so for most of these.
READERS: dict[str, Callable[[str], object]] = {
    "what a server replies": lambda text: classify("dot", 550, fresh(text)),
    "what a provider's API answers": api_answer,
    "what is shown of an API's answer": lambda text: readable(text, HTTPAccount("graph", "a@b.example", "token")),
    "when an API wants to be asked again": retry_after,
    "what a provider says of a sign-in": sign_in,
    "a line of the log": log_line,
    "a server's name": providers.by_host,
    "blanks around a text": lambda text: typed.trimmed(f"é{text}é"),
    "nothing but blanks": lambda text: typed.trimmed("\u200b" * len(text)),
    "a server with its port": lambda text: host_and_port(text),
    "domains in a text": lambda text: addresses.readable_domains(f"xn--{text}"),
    "an address that is searched": lambda text: addresses.searched_address(text),
    "an address": lambda text: addresses.validate_address(fresh(text)),
    "an address after letters": lambda text: addresses.validate_address(f"a{next(numbers)}@{text}"),
    "a domain": addresses.ascii_domain,
    "a recipient": recipients.parse_recipient,
    "a recipient with an address": lambda text: recipients.parse_recipient(f"{text} <a@b.example>"),
    "a name to show": names.shown,
    "a display name": addresses.check_display_name,
    "an address to show": addresses.readable_address,
    "a header": lambda text: headers.unstructured("Subject", text),
    "a header's mailbox": lambda text: headers.mailbox("From", fresh(text), "a@b.example"),
    "a text part": lambda text: _part("plain", text, "token"),
    "a file": lambda text: attachments.part(Attachment(text, "text/plain", b"")),
    "a media type": attachments.is_content_type,
    "a message of the API": message,
    "the number of values in a call": lambda text: parsing._values_in(text.encode()),
    "a launch token": launch,
    "the origin of a frame": lambda text: origins.normal(f"https://{text}"),
    "the page before": lambda text: origins.of_page(f"https://{text}"),
    "a tenant's id": tenants.is_external_id,
    "a message's id": is_public_id,
    "what support searches": lambda text: support_search._public_id(support_search._clean(text)),
    "the languages of a browser": language,
    "a language": i18n.supported,
    "where to go next": lambda text: urls.local_path(f"/{text}", "/"),
    "a cell of a CSV file": lambda text: csv_files.harmless(text),
    "the fields of a form": lambda text: Fields([("address", text)]),
}


@pytest.mark.parametrize("reader", READERS)
def test_the_work_grows_no_faster_than_the_text(reader: str) -> None:
    def read(text: str) -> None:
        with suppress(InvalidAddress):
            READERS[reader](text)

    grown = {piece: growth(read, piece, 200_000) for piece in PIECES}
    assert {piece: ratio for piece, ratio in grown.items() if ratio > 3} == {}


def what_a_name_says(text: str) -> None:
    names.holds_link(text)
    names.holds_address(text)
    names.domains(text)
    is_in("PayPal", text)


@pytest.mark.parametrize("piece", [*PIECES, "a.", "a .", "(at)", "aB", "//", "\u200d", "😀\u200d"])
def test_a_name(piece: str) -> None:
    assert growth(what_a_name_says, piece, 5_000) <= 3


@pytest.mark.parametrize("piece", PIECES)
def test_a_mailbox(piece: str) -> None:
    def read(text: str) -> None:
        with suppress(InvalidAddress):
            addresses.parse_mailbox(f"{text} <a@b.example>")

    assert growth(read, piece, 20_000) <= 3
