"""Which characters no line of text may hold. All others are somebody's ordinary text."""

from __future__ import annotations

import re

# They turn the direction of what follows, so that "gpj.exe" reads as "exe.jpg" (Unicode's property Bidi_Control).
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
# Unicode's categories Cc, Zl, Zp and Cs, which no version of it adds anything to: controls, line ends, half characters.
# RFC 5322 section 2.2 asks no more of a header's text. Blanks, joiners and signs that Python doesn't know yet are text.
_CONTROLS = "\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
_CONTROL = re.compile(f"[{_CONTROLS}]+")
_NOT_IN_A_LINE = re.compile(f"[{_CONTROLS}{_BIDI}]")
_TURNS = re.compile(f"[{_BIDI}]")


def is_line(text: str) -> bool:
    """Whether it is one line of text: no control characters, no line ends, and nothing that turns its direction."""
    return _NOT_IN_A_LINE.search(text) is None


def in_one_line(text: str) -> str:
    """The text without what makes it no line, and with single blanks; for what is shown and must not be refused."""
    return " ".join(_CONTROL.sub(" ", without_turns(text)).split())


def without_turns(text: str) -> str:
    """The text without the signs that turn its direction."""
    return _TURNS.sub("", text)
