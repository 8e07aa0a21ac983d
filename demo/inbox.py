"""Stands in for the platform's relay: takes every mail over SMTP and shows it on a page."""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from flask import Flask, Response, abort, jsonify, render_template
from markupsafe import Markup, escape

from demo import certificate
from demo.mail_account import Account
from demo.mail_account_page import account_page
from demo.mail_service import MailService
from demo.oauth.mood_page import mood_page
from demo.oauth.provider import Provider, create_oauth_app, demo_providers
from demo.oauth.serving import KeepAliveServer
from demo.web import (
    INBOX_PORT,
    INSTANCE,
    PROVIDER_STARTTLS_PORT,
    PROVIDER_TLS_PORT,
    RELAY_PORT,
    SIGN_IN_PORT,
    make_app,
    serve,
)  # fmt: skip

KEPT = 500
_LINK = re.compile(r"https?://[^\s<>\"]*[^\s<>\".,;:!?)]")


@dataclass(frozen=True)
class Mail:
    """One mail as it came in; `mail_from` and `rcpt_to` are the envelope's, `sender` and `to` the header's."""

    id: int
    received_at: datetime
    mail_from: str
    rcpt_to: list[str]
    sender: str
    to: str
    reply_to: str
    subject: str
    text: str
    html: str
    headers: list[tuple[str, str]]

    @property
    def links(self) -> list[str]:
        return _LINK.findall(self.text)

    def summary(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "received_at": self.received_at.isoformat(),
            "mail_from": self.mail_from,
            "rcpt_to": self.rcpt_to,
            "from": self.sender,
            "to": self.to,
            "subject": self.subject,
        }

    def details(self) -> dict[str, Any]:
        more = {
            "reply_to": self.reply_to,
            "text": self.text,
            "html": self.html,
            "links": self.links,
            "headers": self.headers,
        }
        return self.summary() | more


class Mailbox:
    """The newest mails, in memory; written by the SMTP thread, read by the page's."""

    def __init__(self, kept: int = KEPT) -> None:
        self._lock = threading.Lock()
        self._mails: deque[Mail] = deque(maxlen=kept)
        self._count = 0

    def add(self, mail_from: str, rcpt_to: list[str], content: bytes) -> Mail:
        message = message_from_bytes(content, policy=policy.default)
        with self._lock:
            self._count += 1
            mail = Mail(
                self._count,
                datetime.now(UTC),
                mail_from,
                list(rcpt_to),
                _header(message, "From"),
                _header(message, "To"),
                _header(message, "Reply-To"),
                _header(message, "Subject"),
                _body(message, "plain"),
                _body(message, "html"),
                [(name, str(value)) for name, value in message.items()],
            )
            self._mails.appendleft(mail)
        return mail

    def newest_first(self) -> list[Mail]:
        with self._lock:
            return list(self._mails)

    def find(self, mail_id: int) -> Mail | None:
        return next((mail for mail in self.newest_first() if mail.id == mail_id), None)


def _header(message: EmailMessage, name: str) -> str:
    return str(message.get(name, ""))


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    if part is None:
        return ""
    payload = part.get_payload(decode=True)
    try:
        return payload.decode(part.get_content_charset("utf-8"), "replace") if isinstance(payload, bytes) else ""
    except LookupError:  # a charset nobody knows
        return payload.decode("latin-1") if isinstance(payload, bytes) else ""


class Relay:
    """aiosmtpd's handler: accepts everything for everyone."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        mail = self.mailbox.add(envelope.mail_from or "", envelope.rcpt_tos, content)
        return f"250 2.0.0 Taken into the demo inbox as {mail.id}"


def linked(text: str) -> Markup:
    """The text, escaped, with its web addresses as links that open a new tab."""
    html, end = Markup(), 0
    for match in _LINK.finditer(text):
        html += escape(text[end : match.start()])
        html += Markup('<a href="{0}" target="_blank" rel="noopener">{0}</a>').format(match[0])
        end = match.end()
    return html + escape(text[end:])


def create_inbox(mailbox: Mailbox, account: Account, providers: Sequence[Provider] = ()) -> Flask:
    """The page over `mailbox`, the same as JSON for scripts, and the pages of the mail provider and of sign-in."""
    # The mail's HTML is shown in a sandboxed frame that inherits this policy; mails carry their styles inline.
    app = make_app("default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; form-action 'self'")
    app.add_template_filter(linked)
    app.register_blueprint(account_page(account))
    app.register_blueprint(mood_page(providers))

    def find(mail_id: int) -> Mail:
        return mailbox.find(mail_id) or abort(404)

    @app.get("/")
    def index() -> str:
        return render_template("inbox.html", mails=mailbox.newest_first(), relay_port=RELAY_PORT)

    @app.get("/rows")
    def rows() -> str:
        return render_template("_inbox_rows.html", mails=mailbox.newest_first(), relay_port=RELAY_PORT)

    @app.get("/messages/<int:mail_id>")
    def message(mail_id: int) -> str:
        return render_template("inbox_message.html", mail=find(mail_id))

    @app.get("/messages.json")
    def messages_json() -> Response:
        return jsonify(messages=[mail.summary() for mail in mailbox.newest_first()])

    @app.get("/messages/<int:mail_id>.json")
    def message_json(mail_id: int) -> Response:
        return jsonify(find(mail_id).details())

    return app


def main() -> None:
    # aiosmtpd warns of its own old property at each sign-in.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    mailbox = Mailbox()
    Controller(
        Relay(mailbox), hostname="127.0.0.1", port=RELAY_PORT, data_size_limit=20_000_000, ready_timeout=60
    ).start()
    # Here and not in a process of its own, so that its mail comes into the same list.
    account, pem = Account(INSTANCE / "demo-account.json"), INSTANCE / certificate.SERVER_FILE
    providers = demo_providers(mailbox.add)
    MailService(account, mailbox.add, pem, PROVIDER_TLS_PORT, PROVIDER_STARTTLS_PORT, providers).start()
    sign_in = KeepAliveServer(create_oauth_app(providers), SIGN_IN_PORT)
    threading.Thread(target=sign_in.serve_forever, daemon=True).start()
    serve(create_inbox(mailbox, account, providers), INBOX_PORT)


if __name__ == "__main__":
    main()
