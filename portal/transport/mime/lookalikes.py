"""Whether a name passes for another one: compared by what is left when spelling and alphabet are taken away.

The table is small on purpose: letters that look like Latin ones in most fonts, and digits and signs put for letters.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import accumulate

_ALONE = 3  # a protected name with fewer letters is found as the whole name only

_SAME = str.maketrans(
    {
        # Cyrillic
        **dict(zip("авекмнорстухгьѕіјһԁԛԝӏѵ", "abekmhopctyxrbsijhdqwlv", strict=True)),
        # Greek, small letters; the capitals are below, because some look like another letter than their small form
        **dict(zip("αβγεηικνορτυχω", "abyenikvoptuxw", strict=True)),
        **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "abezhikmnoptyx", strict=True)),
        # Armenian
        **dict(zip("օոսհց", "onuhg", strict=True)),
        # Digits
        **dict(zip("013457", "oleast", strict=True)),
    }
)
_SIGNS = str.maketrans(dict(zip("@$!|€£", "asliel", strict=True)))
# By Unicode's own names: small capitals, letters with a stroke, dotless, in squares and on flags.
_LETTER = re.compile(
    r"(?:NEGATIVE (?:SQUARED|CIRCLED) )?(?:LATIN|REGIONAL INDICATOR SYMBOL) (?:CAPITAL |SMALL )?LETTER "
    r"(?:SMALL CAPITAL |DOTLESS |LONG |SCRIPT )?([A-Z])(?: WITH .*)?"
)
_PIECES = re.compile(r"[^\W\d_]+|\d+")


def is_in(protected: str, name: str) -> bool:
    """Whether the name is the protected one, or holds it as whole words, however spaced, spelled or lettered."""
    wanted = skeleton(protected)
    if not wanted:
        return False
    if len(wanted) < _ALONE:
        return wanted in (skeleton(name), skeleton(name.translate(_SIGNS)))
    return any(wanted in run for spelled in (name, name.translate(_SIGNS)) for run in _runs(spelled, len(wanted)))


def skeleton(text: str) -> str:
    """What is left of a text for comparing: Latin letters, with those made one that pass for one another."""
    text = unicodedata.normalize("NFKC", text).translate(_SAME)
    letters = "".join(_latin(character) for character in unicodedata.normalize("NFKD", text)).casefold()
    letters = "".join(character for character in letters.translate(_SAME) if character.isalnum())
    return letters.replace("i", "l").replace("rn", "m").replace("vv", "w")


def _runs(name: str, most: int) -> list[set[str]]:
    """The skeletons of all neighbouring words taken together, from each word on; none much longer than `most`."""
    words = [skeleton(word) for word in _words(name)]
    starts = range(len(words))
    return [set(accumulate(words[start : start + most])) for start in starts]


def _words(name: str) -> list[str]:
    """Words as they are written, as camel case joins them, and with digits apart: PayPal24 is Pay, Pal and 24."""
    visible = "".join(c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) not in ("Cf", "Mn"))
    apart = re.sub(r"(?<=[a-zà-ÿ0-9])(?=[A-ZÀ-Þ])", " ", visible)
    return _PIECES.findall("".join(_latin(character) for character in apart))


@lru_cache(maxsize=1024)
def _latin(character: str) -> str:
    """The Latin letter that the character is a form of, or itself; nothing for an accent."""
    if character.isascii():
        return character
    if unicodedata.category(character) == "Mn":
        return ""
    found = _LETTER.fullmatch(unicodedata.name(character, ""))
    if found is None:
        return character
    return found[1] if "CAPITAL LETTER" in unicodedata.name(character) else found[1].lower()
