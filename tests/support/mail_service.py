"""A merchant's SMTP server on loopback: TLS, sign-in with an app password, and moods that a test sets."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import trustme
from aiosmtpd.smtp import AuthResult, LoginPassword

from tests.support.smtp_sink import SMTPSink


class MailService:
    """Use as a context manager. `password` and `reply` (to a whole mail) may be changed while it runs."""

    def __init__(self, folder: Path, *, implicit_tls: bool = False, name: str = "127.0.0.1", **options: Any) -> None:
        self.password = "abcdefghijklmnop"
        self.reply: Callable[[], str | None] = lambda: None
        self.sign_ins = 0
        authority = trustme.CA()
        self.ca_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(self.context)
        secure = (
            {"ssl_context": self.context} if implicit_tls else {"tls_context": self.context, "require_starttls": True}
        )
        settings = {"authenticator": self._sign_in, "auth_required": True, "auth_require_tls": not implicit_tls}
        self.sink = SMTPSink(on_data=lambda mail: self.reply(), **(settings | secure | options))

    def _sign_in(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        self.sign_ins += 1
        assert isinstance(data, LoginPassword)
        if data.login == b"shop@acme.example" and data.password == self.password.encode():
            return AuthResult(success=True)
        message = "535 5.7.8 Username and Password not accepted. https://support.google.com/mail/?p=BadCredentials"
        return AuthResult(success=False, handled=False, message=message)

    @property
    def port(self) -> int:
        return self.sink.port

    def __enter__(self) -> Self:
        self.sink.start()
        return self

    def __exit__(self, *details: object) -> None:
        self.sink.stop()
