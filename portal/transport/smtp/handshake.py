"""Opening a connection: resolve, dial, greeting, EHLO, STARTTLS; each step fails as itself."""

from __future__ import annotations

import socket
from time import monotonic
from typing import NamedTuple

from portal.transport import destinations
from portal.transport.base import PROGRESS, Network, OnStep, Reply, Timeouts
from portal.transport.smtp.account import Account, readable
from portal.transport.smtp.failure import SMTPFailure, ask, expect, no_reply, unanswered
from portal.transport.smtp.stream import Dialog, address_literal, machine_name
from portal.transport.wire import Halt, NoReply, tls_context

# How much a failure to get a greeting tells, from the least: of a server's addresses the most telling one is shown.
_TELLING = ("lost", "timeout", "tls")
# Refusals of EHLO after which HELO is tried: an old server, or one that likes neither the command nor our name.
_NO_EHLO = (500, 501, 502, 504, 550)


class Watch(NamedTuple):
    """Who hears of the steps, and who may end them."""

    on_step: OnStep
    halt: Halt


def resolve(account: Account, policy: destinations.Policy) -> destinations.Destination:
    """The addresses to dial, pinned from here on."""
    try:
        return destinations.resolve(account.host, account.port, policy)
    except destinations.ForbiddenDestination:
        raise no_reply("connect", "dns", "not an address that mail may be sent to") from None
    except OSError:
        raise no_reply("connect", "dns", "the server's name has no address") from None


def connect(
    destination: destinations.Destination,
    account: Account,
    network: Network,
    timeouts: Timeouts,
    deadline: float,
    watch: Watch,
) -> Dialog:
    """Return the dialog with the first of the server's addresses that greets us (RFC 5321 section 5.1).

    They share the time to connect: a dead one leaves some to the rest. Raises SMTPFailure.
    """
    left = timeouts.connect
    failures = []
    for tried, address in enumerate(destination.addresses):
        if tried:
            watch.on_step(PROGRESS)
        started = monotonic()
        share = min(left / (len(destination.addresses) - tried), deadline - started)
        try:
            sock = socket.create_connection((address, destination.port), timeout=max(share, 0.001))
        except OSError:
            # Refused, unreachable and filtered look the same from outside: this is no port scanner.
            left -= monotonic() - started
            continue
        left -= monotonic() - started
        # Body and dot are two writes: without this, Nagle and delayed ACK cost 40 ms a mail.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        our_name = network.local_hostname or machine_name() or address_literal(sock)
        dialog = Dialog(sock, our_name, timeouts.command, deadline, watch.halt)
        try:
            _await_greeting(dialog, account, destination.host, network.ca_file, timeouts.greeting)
        except SMTPFailure as failure:
            dialog.close()
            failures.append(failure)
        except BaseException:
            dialog.close()
            raise
        else:
            watch.on_step("connect")
            dialog.patience = timeouts.command
            return dialog
    raise max(failures, key=_tells, default=no_reply("connect", "lost", "no connection"))


def _tells(failure: SMTPFailure) -> int:
    if failure.reply.code:
        return len(_TELLING)
    return _TELLING.index(failure.reply.text)


def _await_greeting(dialog: Dialog, account: Account, host: str, ca_file: str | None, seconds: float) -> None:
    try:
        if account.encryption == "tls":
            dialog.secure(tls_context(ca_file), host)
        dialog.patience = seconds
        code, text = dialog.getreply()
    except NoReply as error:
        raise unanswered(account, "connect", error) from error
    if code < 400 and code != 220:  # some other protocol's greeting, of which nothing is passed on
        raise no_reply("connect", "lost", "not an SMTP server")
    expect(account, "connect", 2, code, text)


def hello(dialog: Dialog, account: Account, host: str, ca_file: str | None, on_step: OnStep) -> None:
    """From the server's greeting to an EHLO under the encryption that the account wants. Raises SMTPFailure."""
    refused = _introduce(dialog, account)
    if account.encryption == "starttls":
        if not dialog.has_extn("starttls"):
            raise refused or no_reply("starttls", "tls", "the server offers no STARTTLS")
        ask(dialog, account, "starttls", "STARTTLS", 2)
        try:
            dialog.secure(tls_context(ca_file), host)
        except NoReply as error:
            raise no_reply("starttls", error.kind, error.detail) from error
        refused = _introduce(dialog, account)  # what was offered in the clear may have been forged
    if account.encryption != "none":
        on_step("tls")
    if refused and account.username:
        raise refused  # without EHLO nothing can be offered


def _introduce(dialog: Dialog, account: Account) -> SMTPFailure | None:
    """EHLO, or HELO where a server refuses that (RFC 5321 section 3.2); then the refusal is returned."""
    refused = None
    try:
        code, text = dialog.ehlo()
        if code in _NO_EHLO:
            refused = SMTPFailure("ehlo", Reply(code, readable(text, account)))
            code, text = dialog.helo()
    except NoReply as error:
        raise refused or unanswered(account, "ehlo", error) from error
    if refused and code // 100 != 2:
        raise refused
    expect(account, "ehlo", 2, code, text)
    return refused
