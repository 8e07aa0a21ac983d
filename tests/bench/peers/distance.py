"""A proxy that makes a server seem far away. Arguments: port, the server's port, milliseconds each way.

A connection takes its time, too: the server hears of it after one way there, one back and one there again.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast


class End(asyncio.Protocol):
    """One of a connection's two ends: what comes is handed to the other, `delay` seconds after it came.

    Callbacks and timers only: with a task for each piece hundreds of connections would keep the proxy busy, not the
    product.
    """

    def __init__(self, delay: float, other: End | None = None) -> None:
        self.delay = delay
        self.other = other
        self.transport: asyncio.Transport | None = None
        self.early: list[bytes] = []  # what is here before the connection is

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        for piece in self.early:
            self.write(piece)

    def data_received(self, data: bytes) -> None:
        assert self.other is not None
        asyncio.get_running_loop().call_later(self.delay, self.other.write, data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None:
            asyncio.get_running_loop().call_later(self.delay, self.other.write, b"")

    def write(self, piece: bytes) -> None:
        """Nothing to write is the end."""
        if self.transport is None:
            self.early.append(piece)
        elif self.transport.is_closing():
            pass
        elif piece:
            self.transport.write(piece)
        else:
            self.transport.close()


class Near(End):
    """The client's end, which brings about the other one."""

    def __init__(self, delay: float, server_port: int) -> None:
        super().__init__(delay)
        self.server_port = server_port
        self.other = End(delay, self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        loop = asyncio.get_running_loop()
        loop.call_later(3 * self.delay, lambda: loop.create_task(self._reach()))

    async def _reach(self) -> None:
        far = self.other
        assert far is not None
        try:
            await asyncio.get_running_loop().create_connection(lambda: far, "127.0.0.1", self.server_port)
        except OSError:
            self.write(b"")


async def serve(port: int, server_port: int, delay: float) -> None:
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: Near(delay, server_port), "127.0.0.1", port, backlog=1000) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 1000))
