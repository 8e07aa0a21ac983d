"""Where a connection may go, and the many ways to write where it may not."""

from threading import Event

import pytest

from portal.transport.destinations import (
    Destination,
    ForbiddenDestination,
    MemoryResolver,
    Policy,
    Purpose,
    UnresolvableHost,
    resolve,
)

pytestmark = pytest.mark.any_database

PUBLIC_4, PUBLIC_6 = "8.8.8.8", "2a00:1450:4001:800::200e"
FORBIDDEN = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "168.63.129.16", "::ffff:168.63.129.16", "64:ff9b::a83f:8110", "2002:a83f:8110::",  # Azure
    "100.100.100.200", "192.0.0.192", "169.254.0.23", "169.254.170.2", "fd00:ec2::254", "fd20:ce::254",  # other clouds
    "169.254.169.254", "100.64.0.1", "100.127.255.255", "192.0.0.8", "192.0.0.170", "192.0.2.1",
    "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "192.88.99.1", "224.0.0.1",
    "239.255.255.250", "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::8.8.8.8", "fe80::1",
    "fe80::1%eth0", "fe80::1%1", "2a00::1%eth0", "fec0::1", "fc00::1", "fd12:3456::1", "ff02::1", "ff0e::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:7f00:1", "::ffff:169.254.169.254", "::ffff:100.64.0.1",
    "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::127.0.0.1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1", "64:ff9b:1::808:808", "2002:7f00:1::", "2002:7f00:0001::1", "2002:a00:1::",
    "2002:c0a8:101::", "2002:a9fe:a9fe::", "2002:6440:1::", "2001::", "2001:0:7f00:1::1", "2001:2::1",
    "2001:10::1", "2001:20::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1", "4000::1", "8000::1",
]  # fmt: skip
SPELLINGS = [
    "127.1", "127.0.1", "0", "0x7f.1", "0x7f000001", "0x7f.0.0.1", "2130706433", "017700000001",
    "0177.0.0.1", "0177.1", "127.0.0.1.", "0x0", "1.0x7f", "[127.0.0.1]", "[::1]", "[::ffff:127.0.0.1]",
    "0:0:0:0:0:0:0:1", "0000::0001", "::FFFF:127.0.0.1", "①②⑦.⓪.⓪.①", "１２７.０.０.１", "127。0。0。1",
    "[fe80::1%25eth0]", "1", "10.1", "010.0.0.1", "127.0.0.01", "3232235777",
]  # fmt: skip
NOT_NAMES = [
    "", " ", ".", "..", "smtp..example.com", "smtp://mail.example.com", "mail.example.com/x",
    "mail.example.com:25", "a@b", "mail example.com", "mail.example.com\n", "mail.example.com\r\nQUIT",
    "mail\x00.example.com", "-a.example", "a-.example", "%00", "mail.example.com?", "mail.example.com#",
    "*", "[mail.example.com",
    "x" * 64 + ".example", ".".join(["a" * 60] * 5),
]  # fmt: skip


@pytest.mark.parametrize("address", FORBIDDEN)
def test_an_address_that_is_not_public_is_refused_as_typed_and_as_resolved(address: str) -> None:
    with pytest.raises(ForbiddenDestination):
        resolve(address, 587)
    with pytest.raises(ForbiddenDestination):
        resolve("mail.example.com", 587, Policy(resolver=MemoryResolver({"mail.example.com": [address]})))


@pytest.mark.parametrize("host", SPELLINGS)
def test_no_spelling_of_an_address_gets_through(host: str) -> None:
    with pytest.raises(ForbiddenDestination):  # with the system's resolver, which understands most of them
        resolve(host, 587)


@pytest.mark.parametrize("host", ["localhost", "localhost.", "LOCALHOST", "ip6-localhost"])
def test_this_machines_own_names_are_refused(host: str) -> None:
    table = {"localhost": ["127.0.0.1"], "ip6-localhost": ["::1"]}
    with pytest.raises(ForbiddenDestination):
        resolve(host, 587, Policy(resolver=MemoryResolver(table)))


@pytest.mark.parametrize("host", NOT_NAMES)
def test_what_is_no_host_name_is_refused_before_anything_is_looked_up(host: str) -> None:
    def never(host: str, port: int) -> list[str]:
        raise AssertionError(f"looked up {host!r}")

    with pytest.raises(ForbiddenDestination):
        resolve(host, 587, Policy(resolver=never))


@pytest.mark.parametrize(
    "address", [PUBLIC_4, PUBLIC_6, "64:ff9b::808:808", "2002:808:808::1", "100.63.255.255", "223.255.255.1"]
)
def test_public_addresses_pass(address: str) -> None:
    assert resolve(address, 587).addresses == (address,)


def test_an_ipv4_address_in_ipv6_clothes_is_dialled_as_ipv4() -> None:
    assert resolve("::ffff:8.8.8.8", 587).addresses == ("8.8.8.8",)


def test_one_bad_address_among_good_ones_refuses_the_host() -> None:
    table = {"mail.example.com": [PUBLIC_4, PUBLIC_6, "10.0.0.1"]}
    with pytest.raises(ForbiddenDestination):
        resolve("mail.example.com", 587, Policy(resolver=MemoryResolver(table)))


def test_addresses_stay_in_the_resolvers_order_and_come_once() -> None:
    table = {"mail.example.com": [PUBLIC_6, PUBLIC_4, PUBLIC_6]}
    destination = resolve("mail.example.com", 465, Policy(resolver=MemoryResolver(table)))
    assert destination == Destination("mail.example.com", 465, (PUBLIC_6, PUBLIC_4))


def test_a_host_is_looked_up_once() -> None:
    answers = iter([[PUBLIC_4], ["127.0.0.1"]])  # a name server that changes its mind
    destination = resolve("mail.example.com", 587, Policy(resolver=lambda host, port: next(answers)))
    assert destination.addresses == (PUBLIC_4,)


@pytest.mark.parametrize("host", ["SMTP.Example.COM", "smtp.example.com.", " smtp.example.com "])
def test_the_name_for_tls_is_in_its_plain_form(host: str) -> None:
    policy = Policy(resolver=MemoryResolver({"smtp.example.com": [PUBLIC_4]}))
    assert resolve(host, 587, policy).host == "smtp.example.com"


def test_an_international_name_becomes_its_a_labels() -> None:
    policy = Policy(resolver=MemoryResolver({"smtp.xn--mller-kva.example": [PUBLIC_4]}))
    assert resolve("smtp.Müller.example", 587, policy).host == "smtp.xn--mller-kva.example"


@pytest.mark.parametrize("port", [25, 465, 587, 2525, 2465, 2587])  # the last two are Amazon's and Resend's
def test_ports_for_mail_are_allowed(port: int) -> None:
    assert resolve(PUBLIC_4, port).port == port


@pytest.mark.parametrize("port", [-1, 0, 22, 80, 443, 6379, 70000])
def test_other_ports_are_refused(port: int) -> None:
    with pytest.raises(ForbiddenDestination):
        resolve(PUBLIC_4, port)


def test_operators_can_widen_networks_and_ports_and_only_by_those() -> None:
    policy = Policy(["127.0.0.0/8", "fd00::/8"], [8025])
    assert resolve("127.0.0.1", 8025, policy).addresses == ("127.0.0.1",)
    assert resolve("::ffff:127.0.0.1", 25, policy).addresses == ("127.0.0.1",)
    assert resolve("fd00::1", 25, policy).addresses == ("fd00::1",)
    for host, port in (("10.0.0.1", 8025), ("127.0.0.1", 8026), ("::1", 25)):
        with pytest.raises(ForbiddenDestination):
            resolve(host, port, policy)


def test_the_platforms_relay_may_be_anywhere() -> None:
    assert resolve("127.0.0.1", 1025, Policy(unrestricted=True)).addresses == ("127.0.0.1",)


@pytest.mark.parametrize("table", [{}, {"mail.example.com": []}])
def test_a_name_without_address_is_unresolvable(table: dict[str, list[str]]) -> None:
    with pytest.raises(UnresolvableHost):
        resolve("mail.example.com", 587, Policy(resolver=MemoryResolver(table)))


def test_a_name_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    given_up = Event()

    def never_answers(*_: object, **__: object) -> list[object]:
        given_up.wait(5)
        return []

    monkeypatch.setattr("portal.transport.destinations.DNS_SECONDS", 0.05)
    monkeypatch.setattr("portal.transport.destinations.socket.getaddrinfo", never_answers)
    with pytest.raises(UnresolvableHost, match="no answer"):
        resolve("mail.example.com", 587)
    given_up.set()


def test_another_purpose_has_ports_of_its_own() -> None:
    web = Policy(purpose=Purpose(frozenset({443})))
    assert resolve(PUBLIC_4, 443, web).port == 443
    with pytest.raises(ForbiddenDestination, match="port"):
        resolve(PUBLIC_4, 587, web)
