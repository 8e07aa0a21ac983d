"""Signing in: which mechanism is spoken, and when none is (RFC 4954)."""

from __future__ import annotations

from portal.transport.base import OTHER_SIGN_IN, OnStep
from portal.transport.smtp.account import Account, encoded, plain_response
from portal.transport.smtp.failure import SMTPFailure, ask, no_reply
from portal.transport.smtp.replies import mechanism_refused
from portal.transport.smtp.stream import Dialog

_LONGEST_LINE = 512  # octets with CRLF (RFC 5321 section 4.5.3.1.4), which AUTH has to keep to (RFC 4954 section 4)


def sign_in(dialog: Dialog, account: Account, on_step: OnStep) -> None:
    """Sign in with the account's password, if it has one. Raises SMTPFailure.

    One mechanism, one attempt: a second try with the same password counts against the account. Only where the server
    refuses the mechanism itself has it judged no password, and LOGIN is tried after PLAIN (RFC 4954 section 6).
    """
    if not account.username or not account.password:
        return
    if account.encryption == "none" and not account.exempt:
        raise no_reply("auth", "tls", "no sign-in without encryption")
    offered = dialog.esmtp_features.get("auth", "").upper().split()
    if "PLAIN" in offered:
        try:
            _plain(dialog, account)
        except SMTPFailure as failure:
            if "LOGIN" not in offered or not mechanism_refused(failure.reply.code, failure.reply.text):
                raise
            on_step(OTHER_SIGN_IN)
            _login(dialog, account)
    elif "LOGIN" in offered:
        _login(dialog, account)
    else:
        raise no_reply("auth", "unsupported", "the server offers neither AUTH PLAIN nor AUTH LOGIN")
    on_step("sign_in")


def _plain(dialog: Dialog, account: Account) -> None:
    line = f"AUTH PLAIN {plain_response(account)}"
    if len(line) + 2 <= _LONGEST_LINE:
        return ask(dialog, account, "auth", line, 2)
    ask(dialog, account, "auth", "AUTH PLAIN", 3)
    ask(dialog, account, "auth", plain_response(account), 2)


def _login(dialog: Dialog, account: Account) -> None:
    ask(dialog, account, "auth", "AUTH LOGIN", 3)
    ask(dialog, account, "auth", encoded(account.username or ""), 3)
    ask(dialog, account, "auth", encoded(account.password or ""), 2)
