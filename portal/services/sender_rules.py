"""From which address, under which name no merchant may send: those that speak for the platform or for others.

Asked when somebody types them. A sender that is stored already stays as it is until it is edited.
"""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from urllib.parse import urlsplit

from portal.config import settings
from portal.mailauth.free_mail import is_free_mail
from portal.transport.mime.addresses import InvalidAddress, ascii_domain, validate_address
from portal.transport.mime.lookalikes import is_in
from portal.transport.mime.names import check_sender_name


def check_name(text: str) -> str:
    """Return the display name that a merchant may have. Raises InvalidAddress."""
    name = check_sender_name(text)
    if is_protected(name):
        raise InvalidAddress("name_protected")
    return name


def check_address(text: str) -> str:
    """Return the address, in its envelope form, that a merchant may send from. Raises InvalidAddress."""
    address = validate_address(text)
    local, _, domain = address.rpartition("@")
    if local.startswith('"'):  # a recipient's may be; answers to a shop must reach it from any mail program
        raise InvalidAddress("not_an_address")
    if "%" in local or "!" in local:  # some servers would deliver to the host named there: RFC 5321, appendix F.2
        raise InvalidAddress("source_route")
    if address.lower() == settings().default_mailbox.address.lower() or _is_own(domain):
        raise InvalidAddress("own_domain")
    return address


def is_protected(name: str) -> bool:
    """Whether the name is, or holds, the platform's or one that the operator protects (PORTAL_PROTECTED_NAMES)."""
    platform = settings().default_mailbox.name
    return any(_passes_for(protected, name) for protected in (platform, *settings().protected_names))


@lru_cache(maxsize=4096)  # a page judges what stands in its form several times
def _passes_for(protected: str, name: str) -> bool:
    return is_in(protected, name)


def _is_own(domain: str) -> bool:
    return any(domain == own or domain.endswith(f".{own}") for own in _own_domains())


def _own_domains() -> set[str]:
    """The default sender's, the portal's own host, and PORTAL_OWN_DOMAINS, as A-labels.

    A platform that sends from a free-mail address owns that address alone.
    """
    found = set(settings().own_domains)
    default = settings().default_mailbox.address.rpartition("@")[2]
    if not is_free_mail(default):
        found.add(default)
    with suppress(ValueError):  # an IP address or a name of one label: nobody's mail domain
        found.add(ascii_domain(urlsplit(settings().base_url).hostname or ""))
    return found
