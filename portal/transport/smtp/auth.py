"""Signing in: which mechanism is spoken, and when none is (RFC 4954)."""

from __future__ import annotations

from portal.transport.base import OnStep
from portal.transport.smtp.account import Account, encoded, plain_response
from portal.transport.smtp.failure import ask, no_reply
from portal.transport.smtp.stream import Dialog


def sign_in(dialog: Dialog, account: Account, on_step: OnStep) -> None:
    """Sign in with the account's password, if it has one. Raises SMTPFailure.

    One mechanism, one attempt: a second try with the same password counts against the account.
    """
    if not account.username or not account.password:
        return
    if account.encryption == "none" and not account.exempt:
        raise no_reply("auth", "tls", "no sign-in without encryption")
    offered = dialog.esmtp_features.get("auth", "").upper().split()
    if "PLAIN" in offered:
        ask(dialog, account, "auth", f"AUTH PLAIN {plain_response(account)}", 2)
    elif "LOGIN" in offered:
        ask(dialog, account, "auth", "AUTH LOGIN", 3)
        ask(dialog, account, "auth", encoded(account.username), 3)
        ask(dialog, account, "auth", encoded(account.password), 2)
    else:
        raise no_reply("auth", "unsupported", "the server offers neither AUTH PLAIN nor AUTH LOGIN")
    on_step("sign_in")
