"""Whom a mail goes to, and where answers go: the address is judged, the name never keeps a mail from being sent."""

from __future__ import annotations

import logging
import re
import unicodedata

from portal.transport.mime.addresses import ADDRESS_IN_NAME, QUOTED, InvalidAddress, Mailbox, validate_address
from portal.transport.mime.characters import in_one_line
from portal.transport.mime.names import cleaned

MAX_NAME = 100  # characters, as many as are stored
_JOINER = "\u200d"
# Possessive throughout, so that the work follows the length.
_ANGLE = re.compile(rf'<(?P<address> *+(?:{QUOTED}(?=@))?[^<>"]*)>\s*\Z')
_QUOTED_WORDS = re.compile(r'"((?:[^"\\]|\\.)*+)("?)', re.S)  # one that is never closed reaches to the end

log = logging.getLogger(__name__)


def parse_recipient(text: str) -> Mailbox:
    """Read "Name <address>", or an address alone. Raises InvalidAddress for what is no address, or several.

    What can't stand in a header or isn't seen is left out of the name, and it ends after MAX_NAME characters. Other
    than a sender's it may be anything, an address too: it tells the recipient nothing about somebody else.
    """
    angle = _ANGLE.search(text)
    if angle is None:
        return Mailbox("", validate_address(text))
    before = text[: angle.start()]
    unquoted = _QUOTED_WORDS.sub(lambda quoted: "x" if quoted[2] else quoted[0], before)
    if ADDRESS_IN_NAME.search(unquoted) and re.search("[,;<]", unquoted):
        raise InvalidAddress("not_an_address")  # a list of them: nobody is left out unsaid
    return Mailbox(_name(before), validate_address(angle["address"]))


def read_stored(text: str | None) -> Mailbox | None:
    """The mailbox that Mailbox.as_header wrote; None where there is none.

    It was judged when it was stored. Whatever has become of it or of the rules since, the mail goes out.
    """
    try:
        return parse_recipient(text) if text else None
    except InvalidAddress as error:
        log.warning("a stored mailbox can't be read (%s), so the mail goes out without it", error.reason)
        return None


def _name(phrase: str) -> str:
    """The words of a phrase (RFC 5322 section 3.2.5), those in quotes without them."""
    name = _cut(in_one_line(_QUOTED_WORDS.sub(_unquoted, phrase)))
    return name if cleaned(name) else ""


def _unquoted(quoted: re.Match[str]) -> str:
    return re.sub(r"\\(.)", r"\1", quoted[1], flags=re.S) if quoted[2] else quoted[0]


def _cut(name: str) -> str:
    """At most MAX_NAME characters, never between the parts of what is seen as one."""
    if len(name) <= MAX_NAME:
        return name
    end = MAX_NAME
    while end and (unicodedata.category(name[end])[0] == "M" or _JOINER in name[end - 1 : end + 1]):
        end -= 1
    return name[: end or MAX_NAME].rstrip()
