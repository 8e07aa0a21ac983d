"""Header fields as bytes would have them: folded, encoded by RFC 2047, impossible to break out of."""

from __future__ import annotations

import base64
import re
from functools import lru_cache

LINE = 76  # characters; RFC 2047 section 2 bounds lines that hold encoded words
MAX_TOKEN = 900  # a single word beyond this can't stand in a line of 998 octets
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")  # a phrase that needs no quotes
_Q_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_Q = [chr(octet) if octet in _Q_SAFE else "_" if octet == 32 else f"={octet:02X}" for octet in range(256)]
_WORD = 45  # octets of UTF-8 in one encoded word: at most 60 characters of base64, 72 with its frame


def clean(text: str) -> str:
    """One line of text: every run of control characters and line breaks becomes a space, lone surrogates '?'."""
    return _UNSAFE.sub(" ", text).encode("utf-8", "replace").decode("utf-8").strip()


def unstructured(name: str, text: str) -> str:
    """A field of free text, such as Subject, ready with its name and without the final line end."""
    text = clean(text)
    used = len(name) + 2
    if text.isascii() and "=?" not in text:
        if used + len(text) <= LINE:
            return f"{name}: {text}"
        if max(map(len, text.split(" "))) <= MAX_TOKEN:
            return f"{name}: {_folded(text, used)}"
    return f"{name}: {_encoded_words(text, used)}"


@lru_cache(maxsize=1024)
def mailbox(field: str, name: str, address: str) -> str:
    """A field of one mailbox; `address` must have been validated."""
    name = " ".join(clean(name).split())
    if not name:
        return f"{field}: {address}"
    used = len(field) + 2
    if not name.isascii() or "=?" in name or len(name) > 60:
        phrase = _encoded_words(name, used)
    elif _ATOMS.fullmatch(name):
        phrase = name
    else:
        phrase = '"{}"'.format(name.replace("\\", "\\\\").replace('"', '\\"'))
    last = used + len(phrase) if "\r\n" not in phrase else len(phrase) - phrase.rindex("\r\n") - 2
    gap = " " if last + len(address) + 3 <= LINE else "\r\n "
    return f"{field}: {phrase}{gap}<{address}>"


def _folded(text: str, used: int) -> str:
    """Line breaks before runs of spaces; the runs stay, so unfolding gives the same text."""
    lines: list[str] = []
    line = ""
    for word in re.findall(r" *[^ ]+", text):
        if line and used + len(line) + len(word) > LINE:
            lines.append(line)
            line, used = "", 0
        line += word
    return "\r\n".join([*lines, line])


def _encoded_words(text: str, used: int) -> str:
    """Encoded words in UTF-8, never split inside a character; Q where the text is mostly ASCII."""
    octets = text.encode()
    by_q = 2 * sum(octet not in _Q_SAFE and octet != 32 for octet in octets) + len(octets) <= len(octets) * 4 // 3
    words: list[str] = []
    word = ""
    width = 0
    room = LINE - used - 13  # 12 for =?utf-8?X??=, 1 for the space of a folded line
    for character in text:
        size = sum(len(_Q[octet]) for octet in character.encode()) if by_q else len(character.encode())
        limit = min(room, 60) if by_q else min(room // 4 * 3, _WORD)
        if word and width + size > limit:
            words.append(_word(word, by_q))
            word, width, room = "", 0, LINE
        word += character
        width += size
    words.append(_word(word, by_q))
    return "\r\n ".join(words)


def _word(text: str, by_q: bool) -> str:
    if by_q:
        return f"=?utf-8?q?{''.join(_Q[octet] for octet in text.encode())}?="
    return f"=?utf-8?b?{base64.b64encode(text.encode()).decode()}?="
