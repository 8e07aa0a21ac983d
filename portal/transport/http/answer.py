"""What an API answers, read within a time and a size."""

from __future__ import annotations

import http.client
import io
import socket
from email.message import Message
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import NamedTuple, cast

MAX_ANSWER = 64 * 1024  # octets, with its headers
_DAY = 86400


class Answer(NamedTuple):
    """What the API answered. `whole`: nothing of the body is missing."""

    status: int
    headers: Message
    body: bytes
    whole: bool
    more: bool  # another request may be written to the same connection


def read(sock: socket.socket | None, method: str, until: float) -> Answer:
    """Read the final answer to a request. Raises OSError, http.client.HTTPException or ValueError where none comes."""
    inflow = _Inflow(sock, until)
    while True:
        # It wants a socket, of which it takes nothing but a file to read from.
        response = http.client.HTTPResponse(cast(socket.socket, inflow), method=method)
        response.begin()
        if response.status >= 200:  # what comes before only says that the answer takes a while
            break
    body, whole = bytearray(), not inflow.ended  # else even the headers have no end
    try:
        while piece := response.read(8192):
            body += piece
    except http.client.IncompleteRead as error:
        body += error.partial
        whole = False
    except (OSError, http.client.HTTPException, ValueError):
        whole = False
    whole = whole and not response.length and not inflow.cut
    more = whole and not response.will_close and not inflow.left_over
    return Answer(response.status, response.headers, bytes(body), whole, more)


class _Inflow(io.RawIOBase):
    """What the server says, as the file that http.client reads: within a deadline, and MAX_ANSWER octets at most."""

    def __init__(self, sock: socket.socket | None, until: float) -> None:
        self._sock = sock
        self._until = until
        self._received = bytearray()
        self._room = MAX_ANSWER
        self.cut = False  # more than MAX_ANSWER was to come
        self.ended = False

    @property
    def left_over(self) -> bool:
        return bool(self._received)

    def makefile(self, mode: str) -> _Inflow:
        return self

    def close(self) -> None:
        """An answer that was read closes its file, but the next one comes from the same connection."""

    def readline(self, limit: int | None = -1) -> bytes:
        most = MAX_ANSWER if limit is None or limit < 0 else limit
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0 and len(self._received) < most:
            searched = len(self._received)
            if not self._more():
                break
        return self._take(min(end + 1 if end >= 0 else len(self._received), most))

    def read(self, size: int | None = -1) -> bytes:
        most = MAX_ANSWER if size is None or size < 0 else size
        while len(self._received) < most and self._more():
            pass
        return self._take(most)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def _more(self) -> bool:
        if self._room <= 0:
            self.cut = self.ended = True
            return False
        received = armed(self._sock, self._until).recv(min(8192, self._room))
        self._received += received
        self._room -= len(received)
        self.ended = not received
        return bool(received)


def retry_after(headers: Message) -> int | None:
    """Seconds after which the server wants to be asked again, if it says so; a date counts by the server's clock."""
    said = (headers.get("Retry-After") or "").strip()[:64]
    if said.isascii() and said.isdigit():
        return min(int(said), _DAY)
    try:
        seconds = (parsedate_to_datetime(said) - parsedate_to_datetime(headers.get("Date") or "")).total_seconds()
    except (TypeError, ValueError):
        return None
    return min(max(round(seconds), 0), _DAY)


def armed(sock: socket.socket | None, until: float) -> socket.socket:
    """The socket with the time that is left. Raises TimeoutError where there is none."""
    left = until - monotonic()
    if left <= 0:
        raise TimeoutError
    if sock is None:
        raise ConnectionError
    sock.settimeout(left)
    return sock
