"""The stand-ins' server: connections stay open, end when idle for too long, and end with the server."""

from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPException

import pytest
from flask import request

from demo.oauth.serving import KeepAliveServer
from demo.web import make_app

pytestmark = pytest.mark.any_database


@pytest.fixture
def server() -> Iterator[KeepAliveServer]:
    app = make_app("default-src 'self'")

    @app.route("/", methods=["GET", "POST"])
    def index() -> str:
        return f"{request.method} {request.args.get('a', '')} {request.get_data(as_text=True)}"

    with KeepAliveServer(app) as server:
        yield server


@pytest.fixture
def connection(server: KeepAliveServer) -> Iterator[HTTPConnection]:
    with closing(HTTPConnection("127.0.0.1", server.server_port, timeout=60)) as connection:
        yield connection


def ask(connection: HTTPConnection, method: str = "GET", path: str = "/", body: str | None = None) -> tuple[int, str]:
    connection.request(method, path, body)
    with connection.getresponse() as answer:
        return answer.status, answer.read().decode()


def test_one_connection_carries_many_requests(server: KeepAliveServer, connection: HTTPConnection) -> None:
    assert ask(connection, path="/?a=%C3%BC") == (200, "GET ü ")
    assert ask(connection, "POST", body="x" * 100_000) == (200, "POST  " + "x" * 100_000)
    assert ask(connection, path="/nowhere")[0] == 404
    assert ask(connection, "HEAD") == (200, "")
    assert ask(connection) == (200, "GET  ")
    assert server.connections == 1


def test_an_idle_connection_is_closed(server: KeepAliveServer, connection: HTTPConnection) -> None:
    server.idle_seconds = 0.1
    assert ask(connection)[0] == 200
    assert connection.sock.recv(1) == b""


def test_open_connections_end_with_the_server(server: KeepAliveServer, connection: HTTPConnection) -> None:
    assert ask(connection)[0] == 200
    server.stop()
    assert connection.sock.recv(1) == b""
    with pytest.raises((HTTPException, OSError)):
        ask(connection)


def test_a_body_without_a_length_is_refused(connection: HTTPConnection) -> None:
    connection.request("POST", "/", iter([b"x"]), encode_chunked=True)
    assert connection.getresponse().status == 411


def test_another_sites_name_gets_nothing(server: KeepAliveServer, connection: HTTPConnection) -> None:
    connection.request("GET", "/", headers={"Host": "evil.example"})
    assert connection.getresponse().status == 400


def test_nothing_of_a_request_is_printed(connection: HTTPConnection, capfd: pytest.CaptureFixture[str]) -> None:
    ask(connection, path="/?code=secret-code")
    said = capfd.readouterr()
    assert said.out + said.err == ""
