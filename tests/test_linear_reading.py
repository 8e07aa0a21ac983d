"""Whatever reads outside text works in proportion to it, or to its first part."""

import logging
from contextlib import suppress

import pytest

from portal import providers
from portal.log_format import Formatter
from portal.transport.mime import names
from portal.transport.mime.addresses import InvalidAddress, parse_mailbox
from portal.transport.mime.lookalikes import is_in
from portal.transport.smtp.replies import classify
from tests.support.growth import growth

pytestmark = pytest.mark.any_database

PIECES = (
    "a", " ", "a@", "@", "1.", "0:", "try again in 3 ", "rate limited because ", "<", "http://", "\n", "5.7.1 ", "[0.",
    '"a" ',
)  # fmt: skip


def log_line(text: str) -> str:
    record = logging.LogRecord("portal", logging.INFO, "", 0, "event", None, None)
    record.fields = {"said": f"{text} @"}
    return Formatter().format(record)


def mailbox(text: str) -> None:
    with suppress(InvalidAddress):
        parse_mailbox(f"{text} <a@b.example>")


@pytest.mark.parametrize("piece", PIECES)
def test_a_servers_reply(piece: str) -> None:
    texts = iter(range(1000))  # classify() remembers what it has read
    assert growth(lambda text: classify("dot", 550, f"{next(texts)} {text}"), piece) <= 3


@pytest.mark.parametrize("piece", PIECES)
def test_a_line_of_the_log(piece: str) -> None:
    assert growth(log_line, piece) <= 3


@pytest.mark.parametrize("piece", PIECES)
def test_a_host_name(piece: str) -> None:
    assert growth(providers.by_host, piece) <= 3


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
    assert growth(mailbox, piece, 20_000) <= 3
