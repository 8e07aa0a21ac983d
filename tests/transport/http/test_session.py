"""A connection to an API: what it dials, when it writes, how long it waits and how much it reads."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from email.message import Message

import pytest
import trustme

from portal.transport.base import Stopped, Timeouts
from portal.transport.destinations import WEB, MemoryResolver, Policy
from portal.transport.http import session as session_module
from portal.transport.http.answer import MAX_ANSWER, Answer, retry_after
from portal.transport.http.session import NoAnswer, NotSent, Request, Session
from tests.support.http_api import CLOSE, DRIP, FLOOD, HTTPAPI, SILENCE, answer
from tests.support.scripted_server import PLENTY

pytestmark = pytest.mark.any_database

NAME = "api.provider.example"
ASKED = Request("POST", "/send", {"Authorization": "Bearer very-secret-token"}, b"Hello")
OWN_MACHINE = Policy(unrestricted=True, purpose=WEB)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def served_as(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def yes() -> bool:
    return True


def opened(url: str, policy: Policy = OWN_MACHINE, timeouts: Timeouts = PLENTY, ca_file: str | None = None) -> Session:
    made = Session(url, policy, timeouts, ca_file)
    made.open()
    return made


def exchanged(said: bytes | str, timeouts: Timeouts = PLENTY) -> Answer:
    with HTTPAPI([said]) as server:
        made = opened(server.origin, timeouts=timeouts)
        try:
            return made.exchange(ASKED, yes)
        finally:
            made.close()


def tls_session(server: HTTPAPI, ca_file: str | None, name: str = NAME) -> Session:
    policy = Policy(["127.0.0.0/8"], [server.port], MemoryResolver({name: ["127.0.0.1"]}), purpose=WEB)
    return Session(f"https://{name}:{server.port}/", policy, PLENTY, ca_file)


def test_a_request_goes_out_under_tls_to_the_server_that_proved_its_name(authority: trustme.CA, ca_file: str) -> None:
    with HTTPAPI([answer(200, {"id": "1"})], tls=served_as(authority, NAME)) as server:
        made = tls_session(server, ca_file)
        made.open()
        for _ in range(2):
            assert made.exchange(ASKED, yes).body == b'{"id": "1"}'
        made.close()
    assert server.connections == 1
    assert server.asked[0].headers["host"] == f"{NAME}:{server.port}"
    assert (server.asked[0].line, server.asked[0].body) == ("POST /send HTTP/1.1", b"Hello")


@pytest.mark.parametrize("trusted", [True, False])
def test_nothing_is_said_to_a_server_that_proves_no_name(authority: trustme.CA, ca_file: str, trusted: bool) -> None:
    """With the certificate of another server, and with one by nobody whom we know."""
    context = served_as(authority, "other.example" if trusted else NAME)
    with HTTPAPI([answer(200)], tls=context) as server, pytest.raises(NotSent) as caught:
        tls_session(server, ca_file if trusted else None).open()
    assert caught.value.kind == "tls"
    assert server.asked == []


def test_an_api_in_the_clear_is_the_operators_stand_in_or_refused() -> None:
    with pytest.raises(ValueError, match="TLS"):
        Session("http://api.provider.example/", Policy(purpose=WEB), PLENTY)


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("https://api.provider.example:8443/", ["93.184.215.14"]),  # a port that isn't the Web's
        ("https://api.provider.example:587/", ["93.184.215.14"]),  # one that is for mail
        ("https://api.provider.example/", ["127.0.0.1"]),
        ("https://api.provider.example/", ["93.184.215.14", "10.0.0.1"]),
        ("https://169.254.169.254/", []),
        ("https://localhost/", []),
    ],
)
def test_only_the_web_at_public_addresses_is_dialled(url: str, addresses: list[str]) -> None:
    mail = Policy(allowed_ports=[8443], resolver=MemoryResolver({NAME: addresses}))  # ports are allowed for mail
    with pytest.raises(NotSent) as caught:
        opened(url, mail.used_for(WEB))
    assert caught.value.kind == "dns"


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    assert exchanged(answer(200)).status == 200


def test_a_redirect_is_an_answer_like_any_other() -> None:
    with HTTPAPI([answer(307, Location="http://127.0.0.1:9/")]) as server:
        made = opened(server.origin)
        assert made.exchange(ASKED, yes).status == 307
        made.close()
    assert len(server.asked) == 1


@pytest.fixture
def pair() -> Iterator[tuple[Session, socket.socket]]:
    """A session and the server's end of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = opened(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        server, _ = listener.accept()
        with server:
            yield made, server
        made.close()


def test_nothing_is_written_before_the_hand_over_is_agreed_on(pair: tuple[Session, socket.socket]) -> None:
    made, server = pair
    heard: list[bytes] = []

    def no() -> bool:
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            heard.append(server.recv(1))
        return False

    with pytest.raises(Stopped):
        made.exchange(ASKED, no)
    server.settimeout(30)
    assert server.recv(1) == b"" and heard == []
    assert not made.usable


def test_a_connection_that_the_server_closed_is_not_written_to(pair: tuple[Session, socket.socket]) -> None:
    made, server = pair
    server.close()
    with pytest.raises(NotSent) as caught:
        made.exchange(ASKED, lambda: pytest.fail("it was asked though nothing can be sent"))
    assert not isinstance(caught.value, NoAnswer)


def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_ones(pair: tuple[Session, socket.socket]) -> None:
    made, server = pair
    server.sendall(answer(200, {"id": "forged"}))
    with pytest.raises(NotSent):
        made.exchange(ASKED, lambda: pytest.fail("it was asked though nothing can be sent"))


def test_an_answer_with_more_behind_it_ends_the_connection() -> None:
    with HTTPAPI([answer(200) + answer(200)]) as server:
        made = opened(server.origin)
        made.exchange(ASKED, yes)
        assert not made.usable


def test_a_connection_idle_for_more_than_three_seconds_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    with HTTPAPI([answer(200)]) as server:
        made = opened(server.origin)
        made.exchange(ASKED, yes)
        assert made.usable
        monkeypatch.setattr(session_module, "monotonic", lambda: now + 60)
        assert not made.usable
        with pytest.raises(NotSent):
            made.exchange(ASKED, yes)
        made.close()
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (CLOSE, "lost"),
        (SILENCE, "timeout"),
        (DRIP, "timeout"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "lost"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "lost"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 5000, "lost"),
    ],
    ids=["close", "silence", "drip", "another protocol", "many headers", "never final"],
)
def test_no_final_answer_leaves_open_what_became_of_the_request(said: bytes | str, kind: str) -> None:
    timeouts = PLENTY if kind == "lost" else Timeouts(dot=0.3)
    with pytest.raises(NoAnswer) as caught:
        exchanged(said, timeouts)
    assert caught.value.kind == kind


def test_an_answer_without_end_is_read_up_to_a_bound() -> None:
    found = exchanged(FLOOD)
    assert (found.status, found.whole) == (400, False)
    assert 0 < len(found.body) <= MAX_ANSWER


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad\r\nContent-Length: 100\r\nConnection: close\r\n\r\nhalf",
        b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nff\r\nhalf",
        b"HTTP/1.1 400 Bad\r\nConnection: close\r\n",
        b"HTTP/1.1 400 Bad\r\nX: " + b"x" * 70_000,
    ],
    ids=["a body", "a chunk", "headers", "a header"],
)
def test_an_answer_that_breaks_off_is_told_from_a_whole_one(said: bytes) -> None:
    with HTTPAPI([said], closes_after=1) as server:
        made = opened(server.origin)
        found = made.exchange(ASKED, yes)
    assert (found.status, found.whole) == (400, False)
    assert not made.usable


def test_what_comes_before_the_final_answer_is_passed_over() -> None:
    hints = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    found = exchanged(hints + answer(200, {"id": "1"}))
    assert (found.status, found.body) == (200, b'{"id": "1"}')


def test_a_refusal_in_the_middle_of_a_large_mail_is_heard() -> None:
    large = ASKED._replace(body=b"x" * 20_000_000)
    with HTTPAPI([answer(413, {"error": "too large"}, Connection="close")], reads=1000) as server:
        made = opened(server.origin)
        found = made.exchange(large, yes)
        assert not made.usable
    assert found.status == 413


def test_another_thread_ends_the_wait_for_an_answer() -> None:
    with HTTPAPI([SILENCE]) as server:
        made = opened(server.origin)

        def abort() -> None:
            assert server.heard.wait(30)
            made.abort()

        other = threading.Thread(target=abort)
        other.start()
        with pytest.raises(NoAnswer) as caught:
            made.exchange(ASKED, yes)
        other.join(30)
    assert caught.value.kind == "lost"


def test_neither_a_request_nor_a_failure_shows_the_token() -> None:
    assert "secret" not in repr(ASKED)
    with pytest.raises(NoAnswer) as caught:
        exchanged(b"very-secret-token\r\n")
    assert "secret" not in f"{caught.value!r} {caught.value}"
    bad = ASKED._replace(headers={"Authorization": "Bearer very-secret-token\r\nX: y"})
    with HTTPAPI([answer(200)]) as server:
        made = opened(server.origin)
        with pytest.raises(ValueError, match="character") as refused:
            made.exchange(bad, yes)
        made.close()
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("120", 120),
        ("Sun, 29 Nov 2026 12:02:00 GMT", 120),
        ("Sun, 29 Nov 2026 11:00:00 GMT", 0),
        ("99999999999999999999", 86400),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("١٢", None),
    ],
)
def test_when_to_ask_again_is_read_as_seconds_or_a_date(said: str, seconds: int | None) -> None:
    headers = Message()
    headers["Date"] = "Sun, 29 Nov 2026 12:00:00 GMT"
    headers["Retry-After"] = said
    assert retry_after(headers) == seconds
