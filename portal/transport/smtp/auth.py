"""Signing in: which mechanism is spoken, and when none is (RFC 4954)."""

from __future__ import annotations

import base64
import binascii

from portal.transport import oauth
from portal.transport.base import OTHER_SIGN_IN, OnStep, Reply
from portal.transport.smtp.account import Account, encoded, plain_response, readable, token_response
from portal.transport.smtp.failure import SMTPFailure, ask, no_reply, unanswered
from portal.transport.smtp.replies import mechanism_refused
from portal.transport.smtp.stream import Dialog
from portal.transport.wire import NoReply

_LONGEST_LINE = 512  # octets with CRLF (RFC 5321 section 4.5.3.1.4), which AUTH has to keep to (RFC 4954 section 4)

_CHALLENGES = 2  # that are answered by an empty line


def sign_in(dialog: Dialog, account: Account, on_step: OnStep) -> None:
    """Sign in with the account's password or token, if it has one. Raises SMTPFailure.

    One mechanism, one attempt: a second try with the same password counts against the account. Only where the server
    refuses the mechanism itself has it judged no password, and LOGIN is tried after PLAIN (RFC 4954 section 6).
    """
    if not account.username or not account.password:
        return
    if account.encryption == "none" and not account.exempt:
        raise no_reply("auth", "tls", "no sign-in without encryption")
    offered = dialog.esmtp_features.get("auth", "").upper().split()
    if account.oauth:
        _by_token(dialog, account, offered)
    elif "PLAIN" in offered:
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


def _by_token(dialog: Dialog, account: Account, offered: list[str]) -> None:
    """AUTH XOAUTH2 in two steps: a token is longer than a command line may be (RFC 4954 section 4).

    Google says why it refuses a token in a challenge, and ends it only after an empty line; Microsoft refuses at once.
    """
    if "XOAUTH2" not in offered:
        raise no_reply("auth", "unsupported", "the server offers no AUTH XOAUTH2")
    why = b""
    try:
        code, text = dialog.docmd("AUTH XOAUTH2")
        if code // 100 == 3:
            code, text = dialog.docmd(token_response(account))
        for _ in range(_CHALLENGES):
            if code // 100 != 3:
                break
            why = text
            code, text = dialog.docmd("")
    except NoReply as error:
        raise refused_token(unanswered(account, "auth", error), account) from error
    if code // 100 != 2:
        reply = Reply(code, readable(text, account), readable(_decoded(why), account))
        raise refused_token(SMTPFailure("auth", reply), account)


def refused_token(failure: SMTPFailure, account: Account) -> SMTPFailure:
    """The failure as it is to be judged where the account signs in by a token, which is never a wrong password."""
    if not failure.reply.code:
        return failure
    said = f"{failure.reply.code} {failure.reply.text}"
    return SMTPFailure(failure.phase, failure.reply, oauth.classify(account.oauth, "smtp", said, ""))


def _decoded(challenge: bytes) -> bytes:
    try:
        return base64.b64decode(challenge, validate=True)
    except binascii.Error:
        return b""
