"""Mail addresses and display names: the forms we accept, and why we refuse the others."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import idna

from portal.transport.mime.characters import is_line
from portal.typed import trimmed

MAX_ADDRESS = 254  # octets between < and > of a path (RFC 5321 section 4.5.3.1.3, erratum 1690)
MAX_LOCAL_PART = 64
MAX_DOMAIN = 253
MAX_DISPLAY_NAME = 78
MAX_HEADER = 320  # characters that are stored of a mailbox

_NAMED = re.compile(r' *(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^<>"]*?)) *<(?P<address>[^<>]*)> *', re.S)
_PLAIN = re.compile(  # what nearly every address looks like: no need to look closer
    r"(?P<local>[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*)@(?P<domain>(?:[a-z0-9](?:-?[a-z0-9])*\.)+[a-z]{2,})"
)
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_DOT_ATOM = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*")
QUOTED = r'"(?:[ !#-\[\]-~]|\\[ -~])*"'  # Quoted-string of RFC 5321 section 4.1.2
_QUOTED = re.compile(QUOTED)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LINE_BREAK = re.compile(r"[\r\n\v\f\x85\u2028\u2029]")
ADDRESS_IN_NAME = re.compile(r"[^\s@]@[^\s@.]+\.[^\s@.]")  # "Yoga@Home" is a name
_HOST = re.compile(r"[A-Za-z0-9.-]+")
_DOTS = str.maketrans("\u3002\uff0e\uff61", "...")  # full stops of East Asian keyboards (RFC 5895)


class InvalidAddress(ValueError):
    """Text that is no usable address or display name; `reason` keys the sentence that says why.

    Reasons: empty, not_an_address, too_long, line_break, non_ascii_local_part, no_such_domain_form,
    name_too_long, name_looks_like_address, name_control_characters, and for senders name_without_letters,
    name_protected, own_domain, source_route.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@lru_cache(maxsize=1024)
def validate_address(text: str) -> str:
    """Return the address in its envelope form: domain in lower case and as A-labels (RFC 5891).

    The local part is whatever RFC 5321 section 4.1.2 allows, with as few quotes as it can be written with. Address
    literals ("jane@[192.0.2.1]") and domains of a single label are refused: they name machines, also such of the
    relay's own network. So are local parts beyond ASCII, which few servers take (RFC 6531). Raises InvalidAddress.
    """
    if _LINE_BREAK.search(text):
        raise InvalidAddress("line_break")
    text = trimmed(text)
    if not text:
        raise InvalidAddress("empty")
    if len(text) > MAX_ADDRESS:
        raise InvalidAddress("too_long")
    plain = _PLAIN.fullmatch(text)
    if plain and len(plain["local"]) <= MAX_LOCAL_PART and "--" not in text:
        return f"{plain['local']}@{_checked_domain(plain['domain'])}"
    local, at, domain = text.rpartition("@")
    if not at or not local or not domain:
        raise InvalidAddress("not_an_address")
    if not local.isascii():
        raise InvalidAddress("non_ascii_local_part")
    local = _checked_local_part(local)
    if len(local) > MAX_LOCAL_PART:
        raise InvalidAddress("too_long")
    address = f"{local}@{ascii_domain(domain)}"
    if len(address) > MAX_ADDRESS:
        raise InvalidAddress("too_long")
    return address


def _checked_local_part(text: str) -> str:
    """Equal mailboxes in one form, the one with the fewest quotes (RFC 5321 section 4.1.2)."""
    plain = text
    if _QUOTED.fullmatch(text):
        plain = re.sub(r"\\(.)", r"\1", text[1:-1])
    if _DOT_ATOM.fullmatch(plain):
        return plain
    if plain is text:
        raise InvalidAddress("not_an_address")
    return quoted(plain)


def quoted(text: str) -> str:
    """The text as a quoted-string (RFC 5322 section 3.2.4)."""
    return '"{}"'.format(re.sub(r'(["\\])', r"\\\1", text))


def ascii_domain(domain: str) -> str:
    """A domain of at least two labels in lower case and as A-labels; raises InvalidAddress('no_such_domain_form')."""
    domain = domain.translate(_DOTS)
    try:
        if domain.isascii() and "xn--" not in domain.lower():
            encoded = domain.lower()
        else:
            encoded = idna.encode(domain, uts46=True, transitional=False).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        raise InvalidAddress("no_such_domain_form") from None
    return _checked_domain(encoded)


@lru_cache(maxsize=4096)
def _checked_domain(domain: str) -> str:
    labels = domain.split(".")
    well_formed = len(labels) >= 2 and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()
    if not well_formed or len(domain) > MAX_DOMAIN:
        raise InvalidAddress("no_such_domain_form")
    return domain


def readable_address(address: str) -> str:
    """The address as a person reads it: A-labels shown as the letters they stand for."""
    local, at, domain = address.rpartition("@")
    if "xn--" not in domain:
        return address
    try:
        return f"{local}{at}{idna.decode(domain)}"
    except (idna.IDNAError, UnicodeError):
        return address


def readable_domains(text: str) -> str:
    """A text in which addresses or hosts stand, each as readable_address has it."""
    return _HOST.sub(lambda host: readable_address(host[0]), text) if "xn--" in text else text


def searched_address(text: str) -> str:
    """What is stored in place of an address that was typed to be found: in lower case, its domain as A-labels."""
    local, at, domain = trimmed(text).lower().rpartition("@")
    try:
        return f"{local}{at}{ascii_domain(domain)}"
    except InvalidAddress:
        return f"{local}{at}{domain}"


def check_display_name(text: str) -> str:
    """The display name with its outer spaces removed and inner runs of spaces made one; see names.check_sender_name."""
    if not is_line(text):
        raise InvalidAddress("name_control_characters")
    name = " ".join(text.split())
    if not name:
        raise InvalidAddress("empty")
    if len(name) > MAX_DISPLAY_NAME:
        raise InvalidAddress("name_too_long")
    # Mail programs often show the name alone: "ceo@bank.example" there would be read as the sender.
    # NFKC: full-width and small at signs count too.
    if ADDRESS_IN_NAME.search(unicodedata.normalize("NFKC", name)):
        raise InvalidAddress("name_looks_like_address")
    return name


@dataclass(frozen=True)
class Mailbox:
    """A display name (may be empty) and an address. As text, it is as a person reads it."""

    name: str
    address: str

    def __str__(self) -> str:
        address = readable_address(self.address)
        return f"{self.name} <{address}>" if self.name else address

    def as_header(self) -> str:
        """As recipients.read_stored reads it, whatever the name holds; without a name that makes it too long."""
        header = f"{quoted(self.name)} <{self.address}>"
        return header if self.name and len(header) <= MAX_HEADER else self.address


def parse_mailbox(text: str) -> Mailbox:
    """Read a sender, "Name <address>" or an address alone. Raises InvalidAddress; for others see recipients.py."""
    if "<" in text and not _LINE_BREAK.search(text):
        text = trimmed(text)
    named = _NAMED.fullmatch(text) if "<" in text else None
    if named is None:
        return Mailbox("", validate_address(text))
    name = named["plain"] if named["quoted"] is None else re.sub(r"\\(.)", r"\1", named["quoted"])
    return Mailbox(check_display_name(name) if name.strip() else "", validate_address(named["address"]))
