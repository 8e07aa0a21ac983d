"""One socket's worth of SMTP: commands out, replies in, each within its time and size."""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
from functools import lru_cache
from time import monotonic

from portal.transport.wire import LOST_IN_HANDSHAKE as LOST_IN_HANDSHAKE  # pages name these two from here
from portal.transport.wire import OLD_TLS as OLD_TLS
from portal.transport.wire import Halt, NoReply, gone, secured

STALLED = 120.0  # seconds in which a server that reads our mail must take something
MAX_REPLY = 32 * 1024  # octets; the longest EHLO answers and refusals known are below 3 kB
_REPLY_LINE = re.compile(rb"[2-5][0-9][0-9](?:[ -]|\r?\n)")
_ONE_LINE = re.compile(rb"[2-5][0-9][0-9](?: |\r?\n)")
_FIRST_DIGIT = re.compile(rb"([245])(?:[0-9][0-9][^0-9]|\.[0-9])")  # "250Ok", "2.0.0 Ok"
# A socket is armed anew once its own timeout is longer than what is left by so much: each time is a system call.
_SLACK = 1.05
# Special-use and customary private domains (RFC 6761, 6762, 8375, 9476; ICANN on .internal).
_NOT_PUBLIC = frozenset({
    "alt", "arpa", "corp", "example", "home", "internal", "intranet", "invalid", "lan", "local", "localdomain",
    "localhost", "onion", "private", "test",
})  # fmt: skip
_BARE_LINE_END = re.compile(rb"\r\n|\r|\n")


class Dialog(smtplib.SMTP):
    """smtplib's vocabulary over a socket that is connected already, with deadlines and bounds of its own.

    `patience` is how many seconds the next write, and each next reply, may take as a whole (a server that
    drips a byte now and then gains nothing by it); `deadline` on the monotonic clock ends everything.
    """

    ehlo_msg = "EHLO"

    def __init__(
        self, sock: socket.socket, local_hostname: str, patience: float, deadline: float, halt: Halt | None = None
    ) -> None:
        super().__init__(local_hostname=local_hostname)  # without a host it doesn't connect
        self.sock = sock
        self.halt = halt or Halt()
        self.halt.watch(sock)
        self.patience = patience
        self.deadline = deadline
        self._received = bytearray()
        self._armed = -1.0  # the socket's own timeout

    def send(self, s: memoryview | bytes | str) -> None:  # type: ignore[override]  # sendall has no deadline under TLS
        """Write all of it within `patience`, and some of it in any STALLED seconds."""
        data = s.encode("ascii") if isinstance(s, str) else s
        until = self._until()
        try:
            sent = self._socket(min(until, monotonic() + STALLED)).send(data)
            if sent < len(data):
                left = memoryview(data)[sent:]
                while left:
                    left = left[self._socket(min(until, monotonic() + STALLED)).send(left) :]
        except OSError as error:
            said = self.heard()
            gone = self._gone(error)
            gone.said = said if said and said[0] >= 400 else None
            raise gone from error

    def close(self) -> None:
        self.halt.forget()
        super().close()

    def getreply(self, *, final: bool = False) -> tuple[int, bytes]:
        """The next reply's code and text, its lines joined by LF.

        `final`: the reply to a whole mail. Misreading it would send the mail twice, so its first digit counts even
        where some of its lines have no code.
        """
        until = self._until()
        line = self._line(until, MAX_REPLY)
        if _ONE_LINE.match(line):  # nearly all are
            return int(line[:3]), line[4:].strip()
        if final and not _REPLY_LINE.match(line) and (digit := _FIRST_DIGIT.match(line)):
            return int(digit[1]) * 100, line.strip()
        code, size = b"", 0
        texts: list[bytes] = []
        while True:
            size, last = size + len(line), line
            if _REPLY_LINE.match(line) and line[:1] == (code or line)[:1]:
                code = code or line[:3]
                texts.append(line[4:].strip())
                if line[3:4] != b"-":
                    break
            elif final and code and not _REPLY_LINE.match(line):
                texts.append(line.strip())
            else:
                raise self._lost("not an SMTP reply")
            try:
                line = self._line(until, MAX_REPLY - size)
            except NoReply:
                if _REPLY_LINE.match(last):
                    raise
                break  # nothing came after a line without a code: that was the last one
        return int(code), b"\n".join(texts)

    def heard(self) -> tuple[int, bytes] | None:
        """The reply that has come unasked, as while a mail is written; None if there is none. Waits for nothing."""
        if self.sock is None:
            return None
        self._armed = 0.0
        try:
            self.sock.settimeout(0)
            while len(self._received) < MAX_REPLY and (received := self.sock.recv(8192)):
                self._received += received
        except OSError:  # nothing there, or nothing more
            pass
        if b"\n" not in self._received:
            return None
        patience, self.patience = self.patience, 0.0
        try:
            return self.getreply(final=True)
        except NoReply:
            return None
        finally:
            self.patience = patience

    def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Go on under TLS with the server verified as `host`. What came before the handshake is not trusted."""
        if self._received:  # a reply smuggled in before TLS would be taken for one under it (CVE-2011-0411)
            self.close()
            raise NoReply("tls", "the server sent text before TLS was on")
        try:
            self.sock = secured(self._socket(self._until()), context, host)
            self._armed = -1.0
        except TimeoutError as error:
            raise self._gone(error) from error
        except NoReply:
            self.close()
            raise
        self.esmtp_features = {}

    def _line(self, until: float, room: int) -> bytes:
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            if searched >= room:
                raise self._lost("a reply without end")
            try:
                received = self._socket(until).recv(8192)
            except OSError as error:
                raise self._gone(error) from error
            if not received:
                raise self._lost("connection closed by the server")
            self._received += received
        if end >= room:
            raise self._lost("a reply without end")
        line = bytes(self._received[: end + 1])
        del self._received[: end + 1]
        return line

    def _until(self) -> float:
        return min(monotonic() + self.patience, self.deadline)

    def _socket(self, until: float) -> socket.socket:
        """The socket, armed with the time that is left, or a twentieth more."""
        if self.sock is None:
            raise NoReply("lost", "not connected")
        left = until - monotonic()
        if left <= 0:
            raise TimeoutError
        if not left <= self._armed <= left * _SLACK:
            self.sock.settimeout(left)
            self._armed = left
        return self.sock

    def _lost(self, detail: str) -> NoReply:
        self.close()
        return NoReply("lost", detail)

    def _gone(self, error: OSError) -> NoReply:
        self.close()
        return gone(error)


def dot_stuffed(content: bytes) -> bytes:
    """The mail as DATA wants it: CRLF everywhere, a dot doubled at the start of a line, CRLF at the end.

    A bare CR or LF would be a line end to some servers and not to others, and hide a second mail (SMTP smuggling).
    """
    crlf = content.count(b"\r\n")
    if content.count(b"\n") != crlf or content.count(b"\r") != crlf:
        content = _BARE_LINE_END.sub(b"\r\n", content)
    if not content.endswith(b"\r\n"):
        content += b"\r\n"
    content = content.replace(b"\n.", b"\n..")
    return b"." + content if content.startswith(b".") else content


@lru_cache(maxsize=1)
def machine_name() -> str | None:
    """The machine's full name, if it can be one that the internet knows."""
    return public_name(socket.gethostname())


def public_name(name: str) -> str | None:
    """The name, unless it has no dot or ends in a domain that no public DNS has; a server may refuse EHLO for those."""
    found = re.fullmatch(r"(?:[A-Za-z0-9-]+\.)+([A-Za-z][A-Za-z0-9-]*)", name)
    return name if found and found[1].lower() not in _NOT_PUBLIC else None


def address_literal(sock: socket.socket) -> str:
    """Our own address as EHLO takes it in place of a name (RFC 5321 section 4.1.4)."""
    address = str(sock.getsockname()[0]).partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
