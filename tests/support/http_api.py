"""A provider's API on loopback that answers by script, request by request, and remembers what it was asked."""

import asyncio
import json
import ssl
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

CLOSE = "close"  # end the connection without an answer
SILENCE = "silence"  # never answer, but listen on
DRIP = "drip"  # an answer that comes octet by octet and never ends
FLOOD = "flood"  # an answer whose body never ends
BEHAVIOURS = {CLOSE, SILENCE, DRIP, FLOOD}


@dataclass(frozen=True)
class Asked:
    """One request, as it came."""

    line: str
    headers: dict[str, str]  # names in lower case
    body: bytes


def answer(status: int, body: str | dict[str, object] = "", **headers: str) -> bytes:
    """An answer on the wire; a name's underscores are hyphens."""
    text = body if isinstance(body, str) else json.dumps(body)
    kind = "text/html" if isinstance(body, str) else "application/json; charset=utf-8"
    lines = {"Content-Type": kind, "Content-Length": str(len(text.encode()))}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Said\r\n{head}\r\n{text}".encode()


class HTTPAPI:
    """Use as a context manager. `answers` are given in turn, the last one again and again: what `answer` makes, octets
    of any other kind, or one of the behaviours above. `reads`: octets of a body after which it answers and hangs up.
    """

    def __init__(
        self,
        answers: Sequence[bytes | str],
        *,
        tls: ssl.SSLContext | None = None,
        closes_after: int | None = None,
        reads: int | None = None,
    ) -> None:
        self.answers = list(answers)
        self.tls = tls
        self.closes_after = closes_after  # requests on one connection, without saying so
        self.reads = reads
        self.asked: list[Asked] = []
        self.connections = 0
        self.port = 0
        self._talks: set[asyncio.Task[None]] = set()
        self._started = threading.Event()
        self.heard = threading.Event()  # a request came
        self.ended = threading.Event()  # a connection was closed

    @property
    def origin(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

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
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        for talk in list(self._talks):
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

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
            with suppress(OSError):
                await writer.wait_closed()
            self.ended.set()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answered = 0
        while self.closes_after is None or answered < self.closes_after:
            line = (await reader.readline()).decode().rstrip("\r\n")
            if not line:
                return
            headers = {}
            while text := (await reader.readline()).decode().rstrip("\r\n"):
                name, _, value = text.partition(":")
                headers[name.lower()] = value.strip()
            length = int(headers.get("content-length", "0"))
            body = await reader.readexactly(length if self.reads is None else min(self.reads, length))
            self.asked.append(Asked(line, headers, body))
            self.heard.set()
            await self._answer(self.answers[min(len(self.asked), len(self.answers)) - 1], reader, writer)
            answered += 1
            if self.reads is not None:
                return

    async def _answer(self, said: bytes | str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if said == SILENCE:
            await reader.read()
        while said == DRIP:
            writer.write(b"H" if self.asked else b"")
            await writer.drain()
            await asyncio.sleep(0.01)
        if said == FLOOD:
            writer.write(b"HTTP/1.1 400 Bad\r\nContent-Type: text/plain\r\n\r\n")
        while said == FLOOD:
            writer.write(b"more " * 1000)
            await writer.drain()
        if isinstance(said, str):
            raise EOFError
        writer.write(said)
        await writer.drain()
