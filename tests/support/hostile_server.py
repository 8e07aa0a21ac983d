"""An SMTP server on loopback that misbehaves by script, connection by connection, and remembers what it accepted."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

# What a script may answer instead of a reply's text.
CLOSE = "close"  # end the connection without a word
SILENCE = "silence"  # never answer, but listen on
HOLD = "hold"  # wait until the test says `release()`, then go on as usual
DRIP = "drip"  # one "250-" line now and then, for ever
FLOOD = "flood"  # "250-" lines without end, as fast as they are read
GIGABYTE = "gigabyte"  # one reply line of 1 GB

# The points of a session in their order. At "." the mail is all there; at "reply" it is accepted, and only the
# server's answer is missing.
POINTS = ("connect", "EHLO", "STARTTLS", "TLS", "AUTH", "MAIL", "RCPT", "DATA", "body", ".", "reply", "QUIT")

_GIGABYTE = 1 << 30
_CHUNK = 64 * 1024


@dataclass(frozen=True)
class Kept:
    """One mail that the server has accepted: whether the sender ever heard of it is another matter."""

    talk: Talk
    at: float  # seconds since the epoch
    mail_from: str
    rcpt_to: str
    content: bytes

    @property
    def message_id(self) -> str:
        found = re.search(rb"^Message-ID:\s*(\S+)", self.content, re.I | re.M)
        return found[1].decode() if found else ""


@dataclass(eq=False)
class Talk:
    """One connection, as the server saw it."""

    number: int  # from 1
    client_port: int
    opened_at: float
    closed_at: float | None = None
    commands: list[str] = field(default_factory=list)
    mail_from: str = ""  # of the mail at hand
    rcpt_to: str = ""
    dots: int = 0  # final dots that arrived
    accepted: int = 0


Script = Callable[[Talk, str], str | None]


class HostileServer:
    """Use as a context manager. `script(talk, point)` is asked at each point of each connection, on the server's
    thread: it returns a reply, one of the behaviours above, or None for what a good server answers."""

    def __init__(
        self,
        script: Script | None = None,
        *,
        extensions: Sequence[str] = ("PIPELINING",),
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        address: str = "127.0.0.1",
    ) -> None:
        self.address = address
        self.script: Script = script or (lambda talk, point: None)
        self.extensions = extensions
        self.tls = tls
        self.implicit_tls = implicit_tls
        self._gate = asyncio.Event()
        self.port = 0
        self.talks: list[Talk] = []
        self.kept: list[Kept] = []
        self.held: list[Talk] = []
        self.most_at_once = 0
        self._open = 0
        self._changed = threading.Condition()
        self._sessions: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"smtp://{self.address}:{self.port}"

    def commands(self, verb: str) -> list[str]:
        """All commands with this verb, over all connections."""
        return [line for talk in list(self.talks) for line in talk.commands if line.split()[0].upper() == verb]

    def copies(self) -> Counter[str]:
        """How many copies of a mail each recipient has."""
        return Counter(mail.rcpt_to for mail in list(self.kept))

    def wait_until(self, look: Callable[[HostileServer], object], what: str, timeout: float = 60) -> None:
        """Until `look(server)` is true; it is asked whenever something has happened. Raises AssertionError."""
        with self._changed:
            assert self._changed.wait_for(lambda: look(self), timeout), f"{what}: not within {timeout} s"

    def release(self) -> None:
        """Let the connections that are held go on; those that come later are held again."""

        def let_go() -> None:
            former, self._gate = self._gate, asyncio.Event()
            former.set()

        with self._changed:
            self.held.clear()
        self._loop.call_soon_threadsafe(let_go)

    def __enter__(self) -> Self:
        listener = socket.socket()
        # A body that nobody reads must stop its sender soon: accepted sockets take over this size.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _CHUNK)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.address, self.port))
        listener.listen(128)
        self.port = listener.getsockname()[1]
        started = threading.Event()

        async def serve() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            server = await asyncio.start_server(self._accept, sock=listener)
            started.set()
            await self._stop.wait()
            server.close()
            for session in list(self._sessions):
                session.cancel()
            await asyncio.gather(*self._sessions, return_exceptions=True)

        self._thread = threading.Thread(target=lambda: asyncio.run(serve()), name="hostile-server", daemon=True)
        self._thread.start()
        assert started.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = asyncio.current_task()
        assert session is not None
        self._sessions.add(session)
        talk = Talk(len(self.talks) + 1, writer.get_extra_info("peername")[1], time.time())
        self._note(lambda: self.talks.append(talk), opened=1)
        try:
            await _Session(self, talk, reader, writer).run()
        except (ConnectionError, ssl.SSLError, EOFError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except asyncio.CancelledError:
            pass  # the server stops; asyncio would print a traceback for each connection
        finally:
            talk.closed_at = time.time()
            self._note(lambda: None, opened=-1)
            self._sessions.discard(session)
            writer.close()

    def _note(self, change: Callable[[], object], opened: int = 0) -> None:
        with self._changed:
            change()
            self._open += opened
            self.most_at_once = max(self.most_at_once, self._open)
            self._changed.notify_all()


class _Session:
    """The server's side of one connection."""

    def __init__(
        self, server: HostileServer, talk: Talk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.server, self.talk, self.reader, self.writer = server, talk, reader, writer

    async def run(self) -> None:
        if self.server.implicit_tls:
            await self._handshake()
        await self._answer("connect", "220 hostile.example ESMTP")
        while line := (await self.reader.readline()).decode().rstrip("\r\n"):
            self.server._note(lambda line=line: self.talk.commands.append(line))  # type: ignore[misc]
            verb = line.split()[0].upper()
            await getattr(self, f"_{verb.lower()}", self._other)(line)

    async def _ehlo(self, line: str) -> None:
        words = ("hostile.example", *self.server.extensions)
        await self._answer("EHLO", "\r\n".join(f"250-{word}" for word in words) + "\r\n250 HELP")

    async def _starttls(self, line: str) -> None:
        if (await self._answer("STARTTLS", "220 go on")).startswith("220"):
            await self._handshake()

    async def _handshake(self) -> None:
        await self._answer("TLS", "")
        assert self.server.tls is not None
        await self.writer.start_tls(self.server.tls)

    async def _auth(self, line: str) -> None:
        await self._answer("AUTH", "235 2.7.0 ok")

    async def _mail(self, line: str) -> None:
        self.talk.mail_from = line.partition("<")[2].rpartition(">")[0]
        await self._answer("MAIL", "250 2.1.0 ok")

    async def _rcpt(self, line: str) -> None:
        self.talk.rcpt_to = line.partition("<")[2].rpartition(">")[0]
        await self._answer("RCPT", "250 2.1.5 ok")

    async def _data(self, line: str) -> None:
        if not (await self._answer("DATA", "354 go on")).startswith("354"):
            return
        lines = [await self.reader.readuntil(b"\r\n")]
        await self._answer("body", "")
        while lines[-1] != b".\r\n":
            lines.append(await self.reader.readuntil(b"\r\n"))
        self.server._note(lambda: setattr(self.talk, "dots", self.talk.dots + 1))
        refusal = await self._answer(".", "")
        if refusal:
            return
        content = b"".join(line[1:] if line.startswith(b".") else line for line in lines[:-1])
        mail = Kept(self.talk, time.time(), self.talk.mail_from, self.talk.rcpt_to, content)
        self.talk.accepted += 1
        self.server._note(lambda: self.server.kept.append(mail))
        await self._answer("reply", "250 2.0.0 queued")

    async def _quit(self, line: str) -> None:
        await self._answer("QUIT", "221 bye")
        raise EOFError

    async def _other(self, line: str) -> None:
        await self._answer(line.split()[0].upper(), "250 ok")

    async def _answer(self, point: str, usual: str) -> str:
        """Do what the script wants at this point; the reply that was given, "" where none is due."""
        wish = self.server.script(self.talk, point)
        if wish == HOLD:
            gate = self.server._gate
            self.server._note(lambda: self.server.held.append(self.talk))
            await gate.wait()
        reply = usual if wish in (None, HOLD) else wish
        assert reply is not None
        if reply == CLOSE:
            raise EOFError
        if reply == SILENCE:
            while await self.reader.read(_CHUNK):
                pass
            raise EOFError
        if reply in (DRIP, FLOOD):
            await self._for_ever(slowly=reply == DRIP)
        if reply == GIGABYTE:
            await self._gigabyte()
        if reply:
            self.writer.write(reply.encode() + b"\r\n")
            await self.writer.drain()
        return reply

    async def _for_ever(self, *, slowly: bool) -> None:
        while True:
            self.writer.write(b"250-more\r\n" * (1 if slowly else 1000))
            await self.writer.drain()
            if slowly:
                await asyncio.sleep(0.05)

    async def _gigabyte(self) -> None:
        self.writer.write(b"250 ")
        for _ in range(_GIGABYTE // _CHUNK):
            self.writer.write(b"x" * _CHUNK)
            await self.writer.drain()
        self.writer.write(b"\r\n")
