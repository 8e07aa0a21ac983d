"""What the name of a sender or a shop may hold, and what a reader would take a part of it for."""

from __future__ import annotations

import re
import unicodedata

from portal.transport.mime.addresses import InvalidAddress, check_display_name
from portal.transport.mime.characters import in_one_line
from portal.typed import DRAWN_AS_NOTHING

JOINERS = "\u200c\u200d"  # part of emoji, of Persian and of Indic words; between other letters they only hide
_UNUSABLE = frozenset(("Cc", "Cf", "Co", "Cs", "Zl", "Zp"))  # controls, formats, private use, halves, separators
_LETTERS = frozenset(("Lu", "Ll", "Lt", "Lo", "Nd", "Nl", "No"))
# Signs that look like a full stop and aren't made one by NFKC.
_DOTS = str.maketrans(dict.fromkeys("\u3002\u2027\u06d4\u0701\u0702\ua4f8", "."))
_AT = re.compile(r"[(\[{<] ?(?:at|ät|a|@) ?[)\]}>]", re.IGNORECASE)
_DOT = re.compile(r"[(\[{<] ?(?:dot|punkt|\.) ?[)\]}>]", re.IGNORECASE)
# A blank before the dot, or one behind a longer word that goes on in lower case: "bank . example", "bank. example".
# "St. Pauli" and "Blumen u. mehr" are ordinary abbreviations.
_SPACED_DOT = re.compile(r"(?<=\w) \. ?(?=\w)|(?<=\w{4})\. (?=[^\W\d_A-Z])")
_SPACED_OUT = re.compile(r"(?<!\w)(\w) (?=\w(?!\w))")  # "b a n k"
_TOP_LEVEL = re.compile(r"xn--[a-z0-9-]+|[^\W\d_]{2,}", re.IGNORECASE)
_LEGAL_FORMS = ("co.kg", "co.kgaa", "co.ohg")  # of German companies, often written without the blank
_ADDRESS = re.compile(r"[^\s@]@([\w.-]+)")
_URL = re.compile(r"//|\\|\bwww\.|\b(?:https?|ftp|mailto) ?:|\.[^\W\d_]{2,}(?:[/?#]|:\d)", re.I)
_NUMBER = re.compile(r"\d(?:[\W_]{0,3}\d){6}|\d{1,3}(?:\.\d{1,3}){3}")  # of seven digits and more, or an IP address


def check_sender_name(text: str) -> str:
    """Return the display name of a sender with its outer spaces removed and inner runs of spaces made one.

    Raises InvalidAddress: what check_display_name refuses, and besides name_without_letters.
    """
    name = check_display_name(text)
    if not all(_is_shown(name, place) for place in range(len(name))):
        raise InvalidAddress("name_control_characters")
    if not has_letter(name):
        raise InvalidAddress("name_without_letters")
    if holds_address(name):
        raise InvalidAddress("name_looks_like_address")
    return name


def cleaned(text: str) -> str:
    """The text in one line and without what nobody sees; for what is shown and was never checked."""
    kept = (" " if character.isspace() else character for character in text)
    return " ".join("".join(character for character in kept if _is_visible(character)).split())


def shown(text: str) -> str:
    """The same, but joiners stay where they join: for names of people and shops, which readers know."""
    line = in_one_line(text)
    return " ".join("".join(line[place] for place in range(len(line)) if _is_shown(line, place)).split())


def has_letter(text: str) -> bool:
    """Whether there is a letter or a digit to be seen. Modifier letters stand beside letters, never for one."""
    return any(unicodedata.category(one) in _LETTERS and one not in DRAWN_AS_NOTHING for one in text)


def holds_address(text: str) -> bool:
    """Whether it holds local@domain.tld, however it is spaced or spelled: a mail program often shows the name alone."""
    return any(domains(found[1]) for found in _ADDRESS.finditer(_plain(text)))


def holds_link(text: str) -> bool:
    """Whether it holds a URL or a number to call, which mail programs make links of. Mere domains: see domains()."""
    plain = _plain(text)
    return _URL.search(plain) is not None or _NUMBER.search(plain) is not None


def domains(text: str) -> list[str]:
    """What reads like a domain in it, in lower case: every word with a dot before at least two letters."""
    found = []
    for run in re.findall(r"[\w.-]+", _plain(text)):
        for word in re.split(r"\.{2,}", run):
            labels = word.strip(".-").lower().split(".")
            if len(labels) > 1 and _TOP_LEVEL.fullmatch(labels[-1]) and ".".join(labels) not in _LEGAL_FORMS:
                found.append(".".join(labels))
    return found


def _plain(text: str) -> str:
    """As it is read: wide and small forms made plain (NFKC), hidden characters gone, signs for spelled-out ones."""
    text = unicodedata.normalize("NFKC", text).translate(_DOTS)
    text = _DOT.sub(".", _AT.sub("@", cleaned(text)))
    return _SPACED_OUT.sub(r"\1", _SPACED_DOT.sub(".", re.sub(r" ?@ ?", "@", text)))


def _is_visible(character: str) -> bool:
    return unicodedata.category(character) not in _UNUSABLE and character not in DRAWN_AS_NOTHING


def _is_shown(name: str, place: int) -> bool:
    """Whether the character at this place is seen, or does there what it is for."""
    character = name[place]
    before, after = name[place - 1] if place else " ", name[place + 1] if place + 1 < len(name) else " "
    if character in JOINERS:
        return (_is_emoji(before) and _is_emoji(after)) or (_is_joining(before) and _is_joining(after))
    if _is_variation(character):
        return _is_visible(before) and not before.isspace() and not _is_variation(before)
    return _is_visible(character)


def _is_variation(character: str) -> bool:
    """Chooses how the character before it looks, such as an emoji in colour."""
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


def _is_emoji(character: str) -> bool:
    """Or a part of one. By its place, too: Python's table may be older than the emoji."""
    symbol = unicodedata.category(character) == "So" and character not in DRAWN_AS_NOTHING
    return symbol or character in "\ufe0f\u2194" or "\U0001f000" <= character <= "\U0001faff"


def _is_joining(character: str) -> bool:
    """A letter or mark of the scripts that joiners are for: Arabic to Myanmar, Khmer and Mongolian."""
    in_script = "\u0600" <= character <= "\u109f" or "\u1780" <= character <= "\u18af"
    return in_script and unicodedata.category(character)[0] in "LM"
