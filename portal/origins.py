"""Origins (RFC 6454): who may frame the portal and whose request it is, the same in every spelling."""

from __future__ import annotations

import ipaddress
import re
import socket
from functools import lru_cache
from urllib.parse import unquote

from portal.transport.mime.addresses import InvalidAddress, ascii_domain

_ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[^\s\x00-\x1f\[\]/?#@:\\;,'\"*<>^`{|}]+)(?::(\d{0,20}))?/*", re.I)
_PORTS = {"http": 80, "https": 443}
_LABELS = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*")


@lru_cache(maxsize=4096)
def normal(text: str) -> str | None:
    """The one spelling of an origin, which is that of browsers (`location.origin`); None: `text` is no origin.

    Scheme and host in lower case and as A-labels (RFC 5890), IP addresses as browsers write them, without the scheme's
    own port, a slash or the dot of the DNS's root at the end. The result has no character that means anything in a
    header (frame-ancestors).
    """
    found = _ORIGIN.fullmatch(text) if len(text) <= 1000 else None
    if found is None:
        return None
    scheme, host = found[1].lower(), _host(found[2])
    port = int(found[3] or _PORTS[scheme])
    if host is None or port > 65535:
        return None
    return f"{scheme}://{host}" + (f":{port}" if port != _PORTS[scheme] else "")


def same(one: str, other: str) -> bool:
    """Whether both are origins, and the same one."""
    return normal(one) is not None and normal(one) == normal(other)


def of_page(address: str) -> str:
    """The part of a page's address that is its origin, as it is written there."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{re.split('[/?#]', rest, maxsplit=1)[0]}"


def _host(text: str) -> str | None:
    """A host as browsers spell it (url.spec.whatwg.org, host parsing); None: it is none."""
    if text.startswith("["):
        try:
            return f"[{ipaddress.IPv6Address(text[1:-1]).compressed}]"
        except ValueError:
            return None
    host = unquote(text) if "%" in text else text
    if not host.isascii() or "xn--" in host.lower():
        try:
            host = ascii_domain(host.rstrip("."))
        except InvalidAddress:
            return None
    host = host.lower().removesuffix(".")
    if len(host) > 253 or _LABELS.fullmatch(host) is None:
        return None
    return _ipv4(host) if re.fullmatch(r"\d+|0x[0-9a-f]*", host.rpartition(".")[2]) else host


def _ipv4(host: str) -> str | None:
    """What ends in a number is an IPv4 address, in whatever way it is written: 127.1 is 127.0.0.1."""
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None
