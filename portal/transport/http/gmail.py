"""The Gmail API: the mail as it is, sent by the mailbox that the token belongs to (scope gmail.send)."""

from __future__ import annotations

from typing import Any

from portal.transport.base import Mail
from portal.transport.http.account import HTTPAccount
from portal.transport.http.answer import Answer
from portal.transport.http.service import Said, Service, bearer, check_recipient, read_json, words_of
from portal.transport.http.session import Request


def _request(mail: Mail, account: HTTPAccount, target: str) -> Request:
    check_recipient(mail)  # the API knows no envelope
    return Request("POST", target, bearer(account) | {"Content-Type": "message/rfc822"}, mail.content)


def _said(answer: Answer) -> Said:
    """{"error": {"message": ..., "status": ..., "errors": [{"reason": ...}], "details": [{"reason": ...}]}}"""
    error = read_json(answer).get("error")
    if not isinstance(error, dict):
        return Said(str(error or ""), words_of(answer))
    # The older list says more ("dailyLimitExceeded") than the newer detail, and that more than the status.
    reasons = [*_reasons(error.get("errors")), *_reasons(error.get("details")), str(error.get("status") or "")]
    return Said(" ".join(dict.fromkeys(filter(None, reasons))), str(error.get("message") or ""))


def _reasons(found: Any) -> list[str]:
    entries = found if isinstance(found, list) else []
    return [str(entry["reason"]) for entry in entries if isinstance(entry, dict) and entry.get("reason")]


def _accepted(answer: Answer) -> str | None:
    found = read_json(answer).get("id")
    return f"OK id={found}" if answer.status == 200 and isinstance(found, str) and found else None


SERVICE = Service(
    key="gmail_api",
    url="https://gmail.googleapis.com/upload/gmail/v1/users/me/messages/send?uploadType=media",
    request=_request,
    said=_said,
    accepted=_accepted,
)
