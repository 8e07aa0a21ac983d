"""The SMTP servers of a provider that works like Gmail, for trying the portal's form for a merchant's own server."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from demo.mail_account import ACCEPTED, ADDRESS, BAD_CREDENTIALS, NOT_SIGNED_IN, Account
from demo.oauth import xoauth2
from demo.oauth.provider import Provider

Deliver = Callable[[str, list[str], bytes], object]  # reverse-path, recipients, the mail
_NAME = "smtp.gmail-demo.example"


class _Controller(Controller):
    def factory(self) -> SMTP:
        return xoauth2.LongLines(self.handler, **self.SMTP_kwargs)


class MailService:
    """aiosmtpd's handler and its two servers. Use as a context manager, or `start` and never stop.

    `providers`: whose access tokens are taken (XOAUTH2); without any the mechanism isn't offered.
    """

    def __init__(
        self, account: Account, deliver: Deliver, pem: Path, tls_port: int, starttls_port: int,
        providers: Sequence[Provider] = (),
    ) -> None:  # fmt: skip
        """`pem`: the file of the certificate and its key."""
        self.account = account
        self.deliver = deliver
        self.providers = providers
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pem)
        # aiosmtpd takes a connection for encrypted only after STARTTLS.
        implicit = {"ssl_context": context, "auth_require_tls": False}
        starttls = {"tls_context": context, "require_starttls": True}
        self._servers = [self._server(tls_port, **implicit), self._server(starttls_port, **starttls)]

    def _server(self, port: int, **options: Any) -> Controller:
        return _Controller(
            self, hostname="127.0.0.1", port=port, server_hostname=_NAME, ident="ESMTP gmail-demo - gsmtp",
            authenticator=self._sign_in, data_size_limit=20_000_000, ready_timeout=60,
            auth_exclude_mechanism=() if self.providers else ("XOAUTH2",), **options,
        )  # fmt: skip

    def start(self) -> None:
        for server in self._servers:
            server.start()

    def stop(self) -> None:
        for server in self._servers:
            server.stop(no_assert=True)

    def __enter__(self) -> MailService:
        self.start()
        return self

    def __exit__(self, *details: object) -> None:
        self.stop()

    def _sign_in(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        refusal: str | None = BAD_CREDENTIALS
        if isinstance(data, LoginPassword):
            refusal = self.account.sign_in(data.login.decode(errors="replace"), data.password.decode(errors="replace"))
        return AuthResult(success=refusal is None, handled=False, message=refusal or "235 2.7.0 Accepted")

    async def auth_XOAUTH2(self, server: SMTP, args: list[str]) -> AuthResult:  # aiosmtpd finds it by this name
        return await xoauth2.sign_in(self.providers, server, args)

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        # Not aiosmtpd's own `auth_required`: that warns of the server under implicit TLS, and has other words.
        if not session.authenticated:
            return NOT_SIGNED_IN
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        # Whoever came with a token of another account has that one's limits: none.
        if session.auth_data in (None, ADDRESS) and (refusal := self.account.take_mail()):
            return refusal
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        self.deliver(envelope.mail_from or "", envelope.rcpt_tos, content)
        return ACCEPTED
