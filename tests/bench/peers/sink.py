"""Where Postfix's smtp-sink is missing: a server in Python that takes every mail. Argument: port."""

import asyncio
import sys

from aiosmtpd.smtp import SMTP, Envelope, Session


class Forgetful:
    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        return "250 2.0.0 Taken"


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Forgetful(), hostname="sink.example", loop=loop), "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
