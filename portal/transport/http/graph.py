"""Microsoft Graph: the mail in base64, sent by the mailbox that the token belongs to (scope Mail.Send)."""

from __future__ import annotations

import base64

from portal.transport.base import Mail
from portal.transport.http.account import HTTPAccount
from portal.transport.http.answer import Answer
from portal.transport.http.service import Said, Service, bearer, check_recipient, read_json, words_of
from portal.transport.http.session import Request


def _request(mail: Mail, account: HTTPAccount, target: str) -> Request:
    check_recipient(mail)  # the API knows no envelope
    headers = bearer(account) | {"Content-Type": "text/plain"}
    return Request("POST", target, headers, base64.b64encode(mail.content))


def _said(answer: Answer) -> Said:
    """{"error": {"code": ..., "message": ..., "innerError": {...}}}"""
    error = read_json(answer).get("error")
    if not isinstance(error, dict):
        return Said(str(error or ""), words_of(answer))
    return Said(str(error.get("code") or ""), str(error.get("message") or ""))


def _accepted(answer: Answer) -> str | None:
    """202 with nothing in it, and no id but that of the request."""
    if answer.status != 202:
        return None
    request = answer.headers.get("request-id")
    return f"Accepted request-id={request}" if request else "Accepted"


SERVICE = Service(
    key="graph",
    url="https://graph.microsoft.com/v1.0/me/sendMail",
    request=_request,
    said=_said,
    accepted=_accepted,
)
