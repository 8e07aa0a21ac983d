"""Which servers may be dialled: a name is resolved once, judged by its addresses, and pinned to them."""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import idna

from portal.providers import PROVIDERS

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolver = Callable[[str, int], Sequence[str]]  # host, port -> addresses as text, best first; OSError where none

DNS_SECONDS = 5.0
MAX_ADDRESSES = 16

# The standard library's is_global and is_private differ between versions and miss some of these.
# IANA special-purpose registries: https://www.iana.org/assignments/iana-ipv4-special-registry (and -ipv6-)
_NOT_PUBLIC_4 = (
    IPv4Network("0.0.0.0/8"),  # this network
    IPv4Network("10.0.0.0/8"),  # private
    IPv4Network("100.64.0.0/10"),  # carrier-grade NAT
    IPv4Network("127.0.0.0/8"),  # loopback
    IPv4Network("168.63.129.16/32"),  # Azure's own, inside each of its machines (learn.microsoft.com, "168.63.129.16")
    IPv4Network("169.254.0.0/16"),  # link-local
    IPv4Network("172.16.0.0/12"),  # private
    IPv4Network("192.0.0.0/24"),  # protocol assignments
    IPv4Network("192.0.2.0/24"),  # documentation
    IPv4Network("192.31.196.0/24"),  # AS112
    IPv4Network("192.52.193.0/24"),  # AMT
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
    IPv4Network("192.168.0.0/16"),  # private
    IPv4Network("192.175.48.0/24"),  # AS112
    IPv4Network("198.18.0.0/15"),  # benchmarks
    IPv4Network("198.51.100.0/24"),  # documentation
    IPv4Network("203.0.113.0/24"),  # documentation
    IPv4Network("224.0.0.0/3"),  # multicast and reserved
)
_GLOBAL_6 = IPv6Network("2000::/3")  # all that was ever given out as global unicast
_NOT_PUBLIC_6 = tuple(
    IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "2620:4f:8000::/48", "3fff::/20")
)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")


class ForbiddenDestination(Exception):
    """This host and port must not be dialled; `reason` is host, port or address."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnresolvableHost(OSError):
    """The host's name has no address, or no name server answered in time."""


@dataclass(frozen=True)
class Purpose:
    """What a host is dialled for: the ports that need no operator's leave. A new purpose is a line below."""

    ports: frozenset[int]


# With the ports that providers offer besides, such as 2465 and 2587.
MAIL = Purpose(
    frozenset({25, 465, 587, 2525}) | {endpoint.port for known in PROVIDERS.values() for endpoint in known.endpoints}
)
MAIL_PORTS = MAIL.ports
WEB = Purpose(frozenset({443}))  # providers' APIs, and their sign-in


@dataclass(frozen=True)
class Destination:
    """Where to dial: `host` is the name for TLS, `addresses` are tried in order."""

    host: str
    port: int
    addresses: tuple[str, ...]


# Threads that look a name up, those that nobody waits for any more among them.
_looking_up = threading.BoundedSemaphore(256)


def system_resolver(host: str, port: int) -> Sequence[str]:
    """getaddrinfo with an end: the C library alone may take half a minute."""
    found: list[str] = []
    failed: list[OSError] = []

    def look_up() -> None:
        try:
            found.extend(str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            failed.append(UnresolvableHost(str(error)))
        finally:
            _looking_up.release()

    if not _looking_up.acquire(timeout=DNS_SECONDS):
        raise UnresolvableHost("no answer from the name server")
    # A daemon thread, because nothing can interrupt getaddrinfo and nobody may wait for it at exit.
    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(DNS_SECONDS)
    if failed or thread.is_alive():
        raise UnresolvableHost("no address found" if failed else "no answer from the name server")
    return found


@dataclass(frozen=True)
class MemoryResolver:
    """A resolver for tests: a fixed table, and the system's strictness about everything else."""

    table: Mapping[str, Sequence[str]]

    def __call__(self, host: str, port: int) -> Sequence[str]:
        try:
            return self.table[host]
        except KeyError:
            raise UnresolvableHost("no address found") from None


@dataclass(frozen=True)
class Policy:
    """What may be dialled beyond public addresses on the purpose's ports. `unrestricted`: the platform's own relay."""

    allowed_networks: Iterable[str | Network] = ()
    allowed_ports: Iterable[int] = ()
    resolver: Resolver = system_resolver
    unrestricted: bool = False
    purpose: Purpose = MAIL

    def __post_init__(self) -> None:
        networks = tuple(ipaddress.ip_network(network) for network in self.allowed_networks)
        object.__setattr__(self, "allowed_networks", networks)
        object.__setattr__(self, "allowed_ports", frozenset(self.allowed_ports) | self.purpose.ports)

    def used_for(self, purpose: Purpose) -> Policy:
        """The same networks and names for another purpose. Ports are allowed for mail, so none of them goes with it."""
        return Policy(self.allowed_networks, (), self.resolver, self.unrestricted, purpose)

    def allows_port(self, port: int) -> bool:
        return self.unrestricted or port in self.allowed_ports

    def allows(self, address: Address) -> bool:
        if self.unrestricted:
            return True
        inner = embedded(address)
        widened = any(form in network for network in self._networks() for form in (address, inner))
        return widened or is_public(address)

    def _networks(self) -> Iterable[Network]:
        return self.allowed_networks  # type: ignore[return-value]  # __post_init__ made them networks


PUBLIC = Policy()


def resolve(host: str, port: int, policy: Policy = PUBLIC) -> Destination:
    """Look the host up once and refuse it if *any* of its addresses is not public.

    Raises ForbiddenDestination, or UnresolvableHost where there is no address at all.
    """
    if not policy.allows_port(port):
        raise ForbiddenDestination("port")
    name = _host_name(host)
    literal = _literal(name)
    found = [literal] if literal else list(policy.resolver(name, port))
    addresses: dict[str, None] = {}
    for text in found:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            raise ForbiddenDestination("address") from None
        if not policy.allows(address):
            raise ForbiddenDestination("address")
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        addresses[str(mapped or address)] = None
    if not addresses:
        raise UnresolvableHost("no address found")
    return Destination(name, port, tuple(addresses)[:MAX_ADDRESSES])


def is_public(address: Address) -> bool:
    """Whether the address, or the IPv4 address it wraps, can be reached by anybody on the Internet."""
    inner = embedded(address)
    if isinstance(inner, IPv4Address):
        return not any(inner in network for network in _NOT_PUBLIC_4)
    if inner.scope_id is not None:
        return False
    return inner in _GLOBAL_6 and not any(inner in network for network in _NOT_PUBLIC_6)


def embedded(address: Address) -> Address:
    """The IPv4 address inside an IPv4-mapped, NAT64 or 6to4 address; any other address itself."""
    if isinstance(address, IPv4Address) or address.scope_id is not None:
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def is_loopback(host: str) -> bool:
    """Whether a host, as a name or an address without brackets, is this machine to itself (RFC 6761, 6.3)."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    literal = _literal(name)
    return literal is not None and embedded(ipaddress.ip_address(literal)).is_loopback


def _literal(name: str) -> str | None:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return None


def _host_name(host: str) -> str:
    """The host in lower case, as A-labels and without brackets or a trailing dot."""
    name = host.strip(" \t").lower()
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    if _literal(name):
        return name
    try:
        if not name.isascii():
            name = idna.encode(name, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise ForbiddenDestination("host") from None
    name = name.removesuffix(".")
    if _literal(name):
        return name
    # "127.1", "0x7f.1" and "2130706433" are addresses to getaddrinfo: a last label that is a number is no name.
    if len(name) > 253 or not _HOST.fullmatch(name) or _NUMERIC.fullmatch(name.rpartition(".")[2]):
        raise ForbiddenDestination("host")
    return name
