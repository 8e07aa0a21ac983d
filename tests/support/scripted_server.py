"""An SMTP server on loopback that does what its script says, for each point of a session."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Self

from portal.transport.base import Timeouts
from portal.transport.smtp.failure import SMTPFailure

CLOSE = "close"  # end the connection
SILENCE = "silence"  # never answer
DRIP = "drip"  # a reply that comes byte by byte and never ends
FLOOD = "flood"  # reply lines without end, as fast as they are read
NOTHING = "nothing"  # go on without an answer (the next one answers for both)
BEHAVIOURS = {CLOSE, SILENCE, DRIP, FLOOD}

USUAL = {"MAIL": "250 2.1.0 ok", "RCPT": "250 2.1.5 ok", "DATA": "354 go on", ".": "250 2.0.0 queued as 7"}
Answer = str | Sequence[str]
PLENTY = Timeouts(connect=30, greeting=30, command=30, block=30, dot=30, session=300)


def ends_in(phase: str, attempt: Callable[[Timeouts], SMTPFailure], text: str = "") -> SMTPFailure:
    """How an attempt fails that waits in vain in this phase; with more patience where it failed before, being slow.

    `text`: how it is to fail there, where that isn't by waiting.
    """
    for seconds in (0.2, 2, 20):
        each = dict.fromkeys(("connect", "greeting", "command", "block", "dot"), seconds)
        failure = attempt(Timeouts(**each, session=300))
        if failure.phase == phase and failure.reply.text == (text or failure.reply.text):
            break
    return failure


class ScriptedServer:
    """Use as a context manager; what it saw is complete once the block is left.

    `answers` maps a point (greeting, EHLO, STARTTLS, AUTH, a line of AUTH LOGIN as *, MAIL, RCPT, DATA, ., RSET, QUIT)
    to a reply or a behaviour, or to a sequence of them, one for each time; the last one stays. `refuses_after` octets
    of a mail it gives the answer for "body" and ends the connection.
    """

    def __init__(
        self,
        answers: Mapping[str, Answer] | None = None,
        *,
        extensions: Sequence[str] = ("PIPELINING",),
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        address: str = "127.0.0.1",
        port: int = 0,
        refuses_after: int | None = None,
    ) -> None:
        self.address = address
        self.refuses_after = refuses_after
        self.answers = {**USUAL, **(answers or {})}
        self.extensions = extensions
        self.tls = tls
        self.implicit_tls = implicit_tls
        self.connections = 0
        self.commands: list[str] = []
        self.mails: list[bytes] = []
        self.unfinished: list[bytes] = []  # bodies that never got their dot
        self.port = port
        self._times: dict[str, int] = {}
        self._talks: set[asyncio.Task[None]] = set()
        self._started = threading.Event()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._started.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        tls = self.tls if self.implicit_tls else None
        server = await asyncio.start_server(self._accept, self.address, self.port, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        if self._talks:
            _, late = await asyncio.wait(self._talks, timeout=30)
            for talk in late:
                talk.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        talk = asyncio.current_task()
        assert talk is not None
        self._talks.add(talk)
        try:
            await self._talk(reader, writer)
        except (ConnectionError, ssl.SSLError, EOFError):
            pass
        finally:
            self._talks.discard(talk)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._answer("greeting", "220 scripted.example ESMTP", reader, writer)
        while line := (await reader.readline()).decode():
            self.commands.append(line.rstrip("\r\n"))
            verb = (line.split() or [""])[0].upper()  # an empty line is an answer to a challenge
            ehlo = "\r\n".join(f"250-{word}" for word in ("scripted.example", *self.extensions)) + "\r\n250 HELP"
            usual = {"EHLO": ehlo, "STARTTLS": "220 go on", "AUTH": "235 2.7.0 ok", "QUIT": "221 bye"}
            point = verb if verb in self.answers or verb in usual or verb == "RSET" else "*"
            answer = await self._answer(point, usual.get(point, "250 ok"), reader, writer)
            if verb == "STARTTLS" and answer.startswith("220"):
                assert self.tls is not None
                await writer.start_tls(self.tls)
            elif "354" in answer and verb == "DATA":
                await self._take_mail(reader, writer)
            elif verb == "QUIT":
                raise EOFError

    async def _take_mail(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines: list[bytes] = []
        if self.refuses_after is not None:
            await reader.readexactly(self.refuses_after)
            await self._answer("body", "552 5.3.4 message too big", reader, writer)
            raise EOFError
        while (line := await reader.readline()) != b".\r\n":
            if not line:
                self.unfinished.append(b"".join(lines))
                raise EOFError
            lines.append(line[1:] if line.startswith(b".") else line)
        self.mails.append(b"".join(lines))
        await self._answer(".", "250 ok", reader, writer)

    async def _answer(self, point: str, usual: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        script = self.answers.get(point, usual)
        time = self._times[point] = self._times.get(point, 0) + 1
        answer = script if isinstance(script, str) else script[min(time, len(script)) - 1]
        if answer == SILENCE:
            await reader.read()
        while answer == DRIP:
            writer.write(b"2")
            await writer.drain()
            await asyncio.sleep(0.01)
        while answer == FLOOD:
            writer.write(b"250-more\r\n" * 1000)
            await writer.drain()
        if answer in BEHAVIOURS:
            raise EOFError
        if answer != NOTHING:
            writer.write(answer.encode() + b"\r\n")
            await writer.drain()
        return answer
