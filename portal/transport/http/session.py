"""One HTTP connection to a provider's API: pinned to the addresses that were judged, bounded in time and size.

The standard library reads the answers; the connection itself is ours. A client that opens it within a request leaves no
moment between "connected" and "written" in which a mail's hand-over could be committed, and its waits could neither be
bounded as a whole nor be ended from another thread. Nothing here follows redirects, tries again or knows of proxies.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import NamedTuple
from urllib.parse import urlsplit

from portal.transport import destinations
from portal.transport.base import PROGRESS, OnStep, Stopped, Timeouts
from portal.transport.http.answer import Answer, armed, read
from portal.transport.wire import Halt, NoReply, gone, secured, tls_context

# A server that closes an idle connection while we write leaves open whether it read the mail: rather a new connection.
IDLE_SECONDS = 3.0
_BLOCK = 64 * 1024
_LAST_WORDS = 2.0  # seconds for what a server says that stopped reading


class Request(NamedTuple):
    """What is asked of the API; `target` is the path with its query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    def __repr__(self) -> str:  # the headers hold the token, the body a mail
        return f"Request({self.method!r}, {self.target!r})"


class NotSent(Exception):
    """The API has nothing of the request. `kind` is dns, lost, timeout or tls."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail


class NoAnswer(NotSent):
    """The request was written, as a whole or in part, and no final answer came."""


class Session:
    """A connection to the origin of `url`. `policy` says what may be dialled, and must be one for the Web."""

    def __init__(self, url: str, policy: destinations.Policy, timeouts: Timeouts, ca_file: str | None = None) -> None:
        parts = urlsplit(url)
        self.encrypted = parts.scheme == "https"
        if not self.encrypted and not policy.unrestricted:
            raise ValueError("an API is spoken to over TLS")
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if self.encrypted else 80)
        self.policy = policy
        self.timeouts = timeouts
        self.ca_file = ca_file
        self._sock: socket.socket | None = None
        self._halt = Halt()
        self._idle_since = 0.0

    @property
    def usable(self) -> bool:
        """Whether another request may be written here."""
        return self._sock is not None and monotonic() - self._idle_since < IDLE_SECONDS

    def open(self, on_step: OnStep = lambda step: None) -> None:
        """Connect to the first address that lets us, under TLS. Raises NotSent, and leaves nothing open."""
        self.close()
        try:
            destination = destinations.resolve(self.host, self.port, self.policy)
        except destinations.ForbiddenDestination:
            raise NotSent("dns", "not an address that may be called") from None
        except OSError:
            raise NotSent("dns", "the server's name has no address") from None
        context = tls_context(self.ca_file)
        left = self.timeouts.connect
        failure = NotSent("lost", "no connection")
        for tried, address in enumerate(destination.addresses):
            if tried:
                on_step(PROGRESS)
            started = monotonic()
            share = max(left / (len(destination.addresses) - tried), 0.001)
            try:
                sock = socket.create_connection((address, destination.port), timeout=share)
            except OSError:
                left -= monotonic() - started
                continue
            left -= monotonic() - started
            try:
                self._halt.watch(sock)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(self.timeouts.command)
                self._sock = secured(sock, context, destination.host) if self.encrypted else sock
            except (NoReply, OSError) as error:
                sock.close()
                self.close()
                lost = error if isinstance(error, NoReply) else gone(error)
                failure = NotSent(lost.kind, lost.detail)
                continue
            self._idle_since = monotonic()
            return
        raise failure

    def exchange(self, request: Request, before: Callable[[], bool]) -> Answer:
        """Write the request and return the final answer to it, both within `timeouts.dot`.

        `before` is called once, when nothing has been written yet. If it returns False (Stopped) or raises, nothing is,
        and the connection is closed. Raises NotSent, NoAnswer.
        """
        head = self._head(request)
        # A small request is one packet, a large one isn't copied.
        parts = [head + request.body] if len(request.body) <= _BLOCK else [head, request.body]
        if not self._alive():
            self.close()
            raise NotSent("lost", "connection closed")
        try:
            if not before():
                raise Stopped
        except BaseException:
            self.close()
            raise
        until = monotonic() + self.timeouts.dot
        try:
            try:
                for part in parts:
                    self._write(part, until)
            except OSError as error:
                return self._last_words(request.method, until, error)
            return self._read(request.method, until)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            if isinstance(error, OSError):
                lost = gone(error)
                raise NoAnswer(lost.kind, lost.detail) from None  # what it quotes may hold anything
            raise NoAnswer("lost", "not an HTTP answer") from None

    def abort(self) -> None:
        """From another thread: end what is waited for, as if the server had gone; for good."""
        self._halt.halt()

    def close(self) -> None:
        """Close the connection. Never raises."""
        sock, self._sock = self._sock, None
        self._halt.forget()
        if sock is not None:
            with suppress(OSError):
                sock.close()

    def _alive(self) -> bool:
        """Whether the server has neither closed the connection nor said anything that nobody asked for."""
        if self._sock is None or not self.usable:
            return False
        self._sock.settimeout(0)
        try:
            self._sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            pass
        return False

    def _head(self, request: Request) -> bytes:
        host = f"[{self.host}]" if ":" in self.host else self.host
        own = {
            "Host": host if self.port == (443 if self.encrypted else 80) else f"{host}:{self.port}",
            "User-Agent": "Absender",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Length": str(len(request.body)),
        }
        lines = [f"{request.method} {request.target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in (own | dict(request.headers)).items()]
        if any(not line.isascii() or not line.isprintable() for line in lines):
            raise ValueError("a request's line holds a character that no header has")
        return "\r\n".join([*lines, "", ""]).encode("ascii")

    def _write(self, octets: bytes, until: float) -> None:
        left = memoryview(octets)
        while left:
            left = left[armed(self._sock, until).send(left[:_BLOCK]) :]

    def _last_words(self, method: str, until: float, error: OSError) -> Answer:
        """The refusal of a server that stopped reading: too large, or not signed in. Raises the error without one."""
        try:
            answer = self._read(method, min(until, monotonic() + _LAST_WORDS))
        except (OSError, http.client.HTTPException, ValueError):
            raise error from None
        self.close()
        if answer.status < 400:
            raise error  # it can't have taken half a mail
        return answer

    def _read(self, method: str, until: float) -> Answer:
        answer = read(self._sock, method, until)
        if answer.more:
            self._idle_since = monotonic()
        else:
            self.close()
        return answer
