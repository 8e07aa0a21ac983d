"""Addresses that nobody may make the portal dial, however they are spelled and whatever DNS says the second time."""

import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from portal.transport.base import Network, Timeouts
from portal.transport.destinations import MemoryResolver, Policy
from portal.transport.smtp.account import Account
from portal.transport.smtp.connection import Connection
from portal.transport.smtp.failure import SMTPFailure
from tests.support.figures import Figure, size
from tests.support.hostile_server import HostileServer
from tests.transport.test_destinations import FORBIDDEN, SPELLINGS

pytestmark = pytest.mark.any_database

NAME = "mail.shop.example"
PATIENT = Timeouts(connect=30, command=30, dot=30, session=60)

MORE = [
    "127.0.0.1", "127.0.0.2", "127.1.1.1", "127.000.000.001", "127.00.0.1", "0127.0.0.1", "0x7F.0x0.0x0.0x1",
    "0X7F000001", "0x7f.0x1", "0177.0x0.0.1", "0x00000000", "00", "000.000.000.000", "0.0.0.0.",
    "0000000000000000000001", "4294967295", "3232235521", "0xa9fea9fe", "2852039166", "169.254.43518",
    "169.0xfea9fe", "0251.0376.0251.0376", "192.168.257", "0xc0a80101", "172.1048577", "167772161",
    "100.4194305", "::1.", "[::]", "[::ffff:0:0]", "::ffff:0x7f000001", "[0:0:0:0:0:ffff:127.0.0.1]",
    "[0:0:0:0:0:ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fc00::1]", "[fe80::1]", "１２７．０．０．１",
    "127｡0｡0｡1", "⓪x7f.1", "²130706433", "ｌocalhost", "localhost", "LocalHost.", "ip6-localhost",
    "localhost.localdomain",
]  # fmt: skip


class Dials:
    """Every connect() of this process, noted by the interpreter itself (sys.addaudithook); nothing is patched."""

    def __init__(self) -> None:
        self.noted: list[object] = []
        self.listening = False

        def note(event: str, arguments: tuple[object, ...]) -> None:
            if self.listening and event == "socket.connect":
                self.noted.append(arguments[1])

        sys.addaudithook(note)  # there is no way to take it off again

    @contextmanager
    def counted(self) -> Iterator[list[object]]:
        self.noted = []
        self.listening = True
        try:
            yield self.noted
        finally:
            self.listening = False


@pytest.fixture(scope="module")
def dials() -> Dials:
    return Dials()


@contextmanager
def all_addresses() -> Iterator[socket.socket]:
    """A listener on every address of this machine, IPv4 and IPv6: who dials any of them is in its queue."""
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        listener.settimeout(0.2)
        yield listener


def connections(listener: socket.socket) -> int:
    count = 0
    while True:
        try:
            listener.accept()[0].close()
        except TimeoutError:
            return count
        count += 1


def dial(host: str, port: int, policy: Policy) -> None:
    Connection(Account(host, port, "tls", "u", "p"), timeouts=PATIENT, network=Network(policy)).__enter__()


@pytest.mark.chaos("120 spellings of forbidden addresses")
def test_no_spelling_of_a_forbidden_address_is_dialled(dials: Dials, figure: Figure) -> None:
    spellings = list(dict.fromkeys([*FORBIDDEN, *SPELLINGS, *MORE]))
    with all_addresses() as listener:
        port = listener.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()
        assert connections(listener) == 1, "the listener would notice"
        with dials.counted() as dialled:
            for spelling in spellings:
                for host, policy in (
                    (spelling, Policy(allowed_ports=[port])),  # with the system's resolver, which knows most of them
                    (NAME, Policy(allowed_ports=[port], resolver=MemoryResolver({NAME: [spelling]}))),
                    (NAME, Policy(allowed_ports=[port], resolver=MemoryResolver({NAME: ["8.8.8.8", spelling]}))),
                ):
                    with pytest.raises(SMTPFailure):
                        dial(host, port, policy)
        heard = connections(listener)
    figure(f"{len(spellings)} spellings, as host and as DNS answer: {heard} connections, {len(dialled)} dialled")
    assert len(spellings) >= 120 and heard == 0 and not dialled


class Rebinding:
    """A name server that answers with an allowed address first and with loopback ever after."""

    def __init__(self, first: str, then: str) -> None:
        self.first, self.then = first, then
        self.asked = 0

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return [self.first] if self.asked == 1 else [self.then]


@pytest.mark.chaos("1,000 rounds of rebinding DNS")
def test_a_name_that_changes_its_address_is_dialled_as_it_was_judged(dials: Dials, figure: Figure) -> None:
    rounds = size(200, 1000)
    # Nobody outside shall be dialled by a test, so 127.0.0.2 stands for a public address: an operator allowed it.
    with HostileServer(lambda talk, point: "554 no", address="127.0.0.2") as public, socket.socket() as forbidden:
        forbidden.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        forbidden.bind(("127.0.0.1", public.port))
        forbidden.listen(128)
        forbidden.settimeout(0.2)
        second = 0
        with dials.counted() as dialled:
            for _ in range(rounds):
                resolver = Rebinding("127.0.0.2", "127.0.0.1")
                policy = Policy(["127.0.0.2/32"], [public.port], resolver)
                with pytest.raises(SMTPFailure, match="554"):
                    Connection(Account(NAME, public.port), timeouts=PATIENT, network=Network(policy)).__enter__()
                with pytest.raises(SMTPFailure):  # the second session asks again, and is told the forbidden address
                    Connection(Account(NAME, public.port), timeouts=PATIENT, network=Network(policy)).__enter__()
                second += resolver.asked == 2
        heard = connections(forbidden)
    wrong = [address for address in dialled if address != ("127.0.0.2", public.port)]
    figure(f"{rounds} rounds, two sessions each: {heard} connections to the forbidden address, {len(wrong)} dialled")
    assert len(dialled) == len(public.talks) == rounds == second
    assert heard == 0 and not wrong
