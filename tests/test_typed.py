"""What comes along when people copy: blanks, and what nobody can see."""

import pytest

from portal.typed import trimmed

pytestmark = pytest.mark.any_database

# A blank, no-break, narrow and wide ones; zero-width ones, direction marks, a soft hyphen, fillers, a byte order mark.
AROUND = " \t\n\u00a0\u202f\u3000\u2003\u200b\u200c\u200d\u200e\u202e\u2060\u2066\u00ad\u061c\u3164\u2800\ufe0f\ufeff"


@pytest.mark.parametrize("blank", AROUND, ids=lambda character: f"U+{ord(character):04X}")
def test_what_nobody_sees_is_trimmed_at_both_ends_and_kept_within(blank: str) -> None:
    assert trimmed(f"{blank}é{blank}e{blank}{blank}") == f"é{blank}e"
    assert trimmed(f"{blank}jane{blank}") == "jane"


def test_of_nothing_but_blanks_nothing_is_left() -> None:
    assert trimmed(AROUND) == trimmed("") == trimmed("  ") == ""
