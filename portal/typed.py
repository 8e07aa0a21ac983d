"""What comes along when people copy: blanks around a text, also those that nobody can see."""

from __future__ import annotations

import unicodedata

# Nothing is seen of these, though Unicode calls them letters, marks or symbols: fillers, blanks, placeholders.
DRAWN_AS_NOTHING = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\ufffc\U0001d159")


def trimmed(text: str) -> str:
    """The text without blanks and invisible characters (Unicode's Cf and Zs) at its ends; within it they stay."""
    if text.isascii():
        return text.strip()
    begin, end = 0, len(text)
    while begin < end and _is_blank(text[begin]):
        begin += 1
    while end > begin and _is_blank(text[end - 1]):
        end -= 1
    return text[begin:end]


def _is_blank(character: str) -> bool:
    return (
        character.isspace()
        or character in DRAWN_AS_NOTHING
        or "\ufe00" <= character <= "\ufe0f"
        or unicodedata.category(character) in ("Cf", "Zs")
    )
