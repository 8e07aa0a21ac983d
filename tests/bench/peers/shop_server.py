"""The mail service of shops: STARTTLS and sign-in, takes every mail and forgets it; or hangs.

Arguments: port, PEM file of key and certificate, and where it hangs, if it does: points separated by commas, which
connections take in turn, one of POINTS each, or `drip` for a reply to EHLO that never ends.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from itertools import cycle
from typing import cast

POINTS = ("connect", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", ".")
_OFFERED = "250-shop.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 20000000\r\n{}\r\n"
_BEFORE_TLS, _UNDER_TLS = (_OFFERED.format(last).encode() for last in ("250 STARTTLS", "250 AUTH PLAIN LOGIN"))
_DRIP_SECONDS = 0.5
_REPLIES = {
    "connect": b"220 shop.example ESMTP\r\n",
    "STARTTLS": b"220 2.0.0 Go on\r\n",
    "AUTH": b"235 2.7.0 Signed in\r\n",
    "DATA": b"354 Go on\r\n",
    ".": b"250 2.0.0 Taken\r\n",
    "QUIT": b"221 2.0.0 Bye\r\n",
}


class Session(asyncio.Protocol):
    """The server's side of one connection: callbacks only, so that it costs little beside the product."""

    def __init__(self, context: ssl.SSLContext, hangs_at: str) -> None:
        self.context = context
        self.hangs_at = hangs_at
        self.received = b""
        self.body = False
        self.secure = False
        self.waits = False  # it hangs, or TLS isn't on yet
        self.upgrade: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._reply("connect")

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._answer()

    def _answer(self) -> None:
        while self.received and not self.waits and self._next():
            pass

    def _next(self) -> bool:
        """Answer one line, or the whole body. Returns whether there was one."""
        mark = b"\r\n.\r\n" if self.body else b"\r\n"
        said, found, rest = self.received.partition(mark)
        if found:
            self.received = rest
            self._reply("." if self.body else said[:8].split(b" ")[0].decode().upper())
        return bool(found)

    def _reply(self, point: str) -> None:
        if point == "EHLO" and self.hangs_at == "drip":
            self._drip()
        # What is asked before TLS is asked again under it: a session that hangs at EHLO does so at once.
        self.waits = self.waits or point == self.hangs_at
        if self.waits:
            return
        answer = (_UNDER_TLS if self.secure else _BEFORE_TLS) if point == "EHLO" else _REPLIES.get(point)
        self.transport.write(answer or b"250 2.0.0 Ok\r\n")
        self.body = point == "DATA"
        if point == "STARTTLS":
            self.waits = True
            self.upgrade = asyncio.get_running_loop().create_task(self._encrypt())
        elif point == "QUIT":
            self.transport.close()

    def _drip(self) -> None:
        self.waits = True
        if not self.transport.is_closing():
            self.transport.write(b"250-more\r\n")
            asyncio.get_running_loop().call_later(_DRIP_SECONDS, self._drip)

    async def _encrypt(self) -> None:
        self.secure = True
        try:
            under = await asyncio.get_running_loop().start_tls(self.transport, self, self.context, server_side=True)
        except OSError:  # ssl.SSLError is one
            return
        if under is not None:
            self.transport, self.waits = under, False
            self._answer()  # what came with the end of the handshake


async def serve(port: int, certificate: str, hangs_at: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    points = cycle(hangs_at.split(","))
    server = await asyncio.get_running_loop().create_server(
        lambda: Session(context, next(points)), "127.0.0.1", port, backlog=1000
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ""))
