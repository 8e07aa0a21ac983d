"""Ordinary text is none of the characters that no line may hold."""

import sys
import unicodedata

import pytest

from portal.transport.mime.characters import in_one_line, is_line, without_turns

pytestmark = pytest.mark.any_database

ORDINARY = [
    "Votre commande n°\xa017\u202f: 20\xa0€", "ご注文\u3000確認", "👩\u200d👩\u200d👧 sends greetings",
    "می\u200cخواهم", "Donau\xaddampf\xadschiff", "New: \U0001fae9", "Not in any table yet: \U0001faf9\U0001f6d9",
    "\ufeffFrom a file", "a\u2003b", "❤\ufe0f", "🏴\U000e0067\U000e0062\U000e007f", "Private \ue000", "\ufffe",
]  # fmt: skip
NO_LINES = ["a\nb", "a\r\nBcc: x@y.example", "\x00", "\x07", "\t", "\x7f", "\x85", "a\u2028b", "a\u2029b", "\ud800",
            "\u202egpj.exe", "\u2066a\u2069", "\u200f", "\u061c"]  # fmt: skip


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_a_line(text: str) -> None:
    assert is_line(text)


@pytest.mark.parametrize("text", NO_LINES)
def test_controls_line_ends_halves_and_turns_are_not(text: str) -> None:
    assert not is_line(text)


def test_nothing_else_is_refused_than_the_categories_that_no_line_has() -> None:
    for number in range(sys.maxunicode + 1):
        sign = chr(number)
        turns = unicodedata.bidirectional(sign) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
        refused = turns or sign in "\u061c\u200e\u200f" or unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp")
        assert is_line(sign) is not refused, f"U+{number:04X}"


def test_a_line_is_made_of_any_text() -> None:
    assert in_one_line("  Jane\r\n\tBcc: x\x00\u202e ") == "Jane Bcc: x"
    assert all(is_line(in_one_line(text)) for text in ORDINARY + NO_LINES)
    assert without_turns("\u202egpj.exe") == "gpj.exe"
