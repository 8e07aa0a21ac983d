"""A real SMTP server on a free loopback port that keeps what it was given."""

import asyncio
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Self

from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass(frozen=True)
class Received:
    """One mail: the envelope and the bytes after DATA."""

    mail_from: str
    rcpt_to: tuple[str, ...]
    content: bytes

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.content, policy=policy.default)

    @property
    def text(self) -> str:
        """What people read of it."""
        body = self.message.get_body(("plain",))
        return body.get_content() if body else ""


class SMTPSink:
    """Listens from `start` to `stop`; after a stop it can be started again on the same port.

    `on_data` may answer for a mail instead of "250 2.0.0 Kept": it gets the mail and returns a reply line or None;
    a mail that it answers with 4yz or 5yz is not kept. `smtp_options` go to aiosmtpd's SMTP (tls_context, ...).
    """

    def __init__(self, on_data: Callable[[Received], str | None] | None = None, **smtp_options: Any) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self.on_data = on_data
        self._options = {"enable_SMTPUTF8": True, "data_size_limit": 20_000_000} | smtp_options
        self._received: list[Received] = []
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"smtp://{self.host}:{self.port}"

    @property
    def received(self) -> list[Received]:
        with self._changed:
            return list(self._received)

    def clear(self) -> None:
        with self._changed:
            self._received.clear()

    def wait_for(self, count: int, timeout: float = 180) -> list[Received]:
        """The mails so far, once there are at least `count`. Raises AssertionError after `timeout` seconds."""
        with self._changed:
            enough = self._changed.wait_for(lambda: len(self._received) >= count, timeout)
            assert enough, f"{len(self._received)} of {count} mails came within {timeout} s"
            return list(self._received)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        mail = Received(envelope.mail_from or "", tuple(envelope.rcpt_tos), content)
        reply = (self.on_data(mail) if self.on_data else None) or "250 2.0.0 Kept"
        if reply.startswith("2"):
            with self._changed:
                self._received.append(mail)
                self._changed.notify_all()
        return reply

    def start(self) -> Self:
        listener = socket.create_server((self.host, self.port))
        self.port = listener.getsockname()[1]
        self._loop = loop = asyncio.new_event_loop()
        listening = threading.Event()

        def run() -> None:
            asyncio.set_event_loop(loop)
            factory = lambda: SMTP(self, hostname="sink.example", loop=loop, **self._options)  # noqa: E731
            server = loop.run_until_complete(loop.create_server(factory, sock=listener))
            listening.set()
            loop.run_forever()
            server.close()
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.close()

        self._thread = threading.Thread(target=run, name="smtp-sink", daemon=True)
        self._thread.start()
        assert listening.wait(30)
        return self

    def stop(self) -> None:
        """Stop listening; open connections are cut."""
        loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop and thread:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(5)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *details: object) -> None:
        self.stop()
