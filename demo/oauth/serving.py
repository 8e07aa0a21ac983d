"""Serves the stand-ins over connections that stay open, as the providers' do; werkzeug's own server closes each."""

from __future__ import annotations

import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from flask import Flask
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Response

IDLE_SECONDS = 240
_MOST_OCTETS = 64_000_000


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: KeepAliveServer

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self.server.idle_seconds)

    def do_GET(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal() or int(length) > _MOST_OCTETS:
            self.close_connection = True
            self.send_error(411)
            return
        builder = EnvironBuilder(
            path=self.path, method=self.command, headers=list(self.headers.items()), data=self.rfile.read(int(length)),
            base_url=f"http://{self.headers.get('Host', 'localhost')}/",
            environ_overrides={"demo.connection": self.connection, "REMOTE_ADDR": self.client_address[0]},
        )  # fmt: skip
        response = Response.from_app(self.server.app, builder.get_environ(), buffered=True)
        body = response.get_data()
        self.send_response(response.status_code)
        for name, value in response.headers.items():
            if name != "Content-Length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_POST = do_HEAD = do_GET

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle()

    def log_message(self, *args: Any) -> None:
        """Say nothing: the addresses of sign-in pages and callbacks hold codes."""


class KeepAliveServer(ThreadingHTTPServer):
    """A Flask app on 127.0.0.1; use as a context manager, or `serve_forever`.

    `idle_seconds`: after which a new connection that says nothing is closed. `connections`: how many there were.
    """

    daemon_threads = True

    def __init__(self, app: Flask, port: int = 0) -> None:
        self.app = app
        self.idle_seconds: float = IDLE_SECONDS
        self.connections = 0
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away; the app logs what is wrong with itself."""

    def start(self) -> None:
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, and end the connections that are open."""
        self.shutdown()
        self.server_close()
        self._thread.join(30)
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *details: object) -> None:
        self.stop()
