"""Opening a connection: resolve, dial, greeting, EHLO, STARTTLS; each step fails as itself."""

from __future__ import annotations

import socket
from time import monotonic

from portal.transport import destinations
from portal.transport.base import OnStep, Timeouts
from portal.transport.smtp.account import Account
from portal.transport.smtp.failure import ask, expect, no_reply
from portal.transport.smtp.stream import Dialog, NoReply, own_name, tls_context


def resolve(account: Account, policy: destinations.Policy) -> destinations.Destination:
    """The addresses to dial, pinned from here on."""
    try:
        return destinations.resolve(account.host, account.port, policy)
    except destinations.ForbiddenDestination:
        raise no_reply("connect", "dns", "not an address that mail may be sent to") from None
    except OSError:
        raise no_reply("connect", "dns", "the server's name has no address") from None


def dial(destination: destinations.Destination, timeouts: Timeouts, deadline: float, our_name: str | None) -> Dialog:
    """Connect to the first address that answers. All share the time: a dead one leaves some to the rest."""
    until = min(monotonic() + timeouts.connect, deadline)
    for tried, address in enumerate(destination.addresses):
        share = (until - monotonic()) / (len(destination.addresses) - tried)
        try:
            sock = socket.create_connection((address, destination.port), timeout=max(share, 0.001))
        except OSError:
            continue
        # Body and dot are two writes: without this, Nagle and delayed ACK cost 40 ms a mail.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Dialog(sock, our_name or own_name(sock), timeouts.command, deadline)
    # Refused, unreachable and filtered look the same from outside: this is no port scanner.
    raise no_reply("connect", "lost", "no connection")


def greet(dialog: Dialog, account: Account, host: str, ca_file: str | None, on_step: OnStep) -> None:
    """From the server's greeting to an EHLO under the encryption that the account wants."""
    try:
        if account.encryption == "tls":
            dialog.secure(tls_context(ca_file), host)
        code, text = dialog.getreply()
    except NoReply as error:
        raise no_reply("connect", error.kind, error.detail) from error
    if code < 400 and code != 220:  # some other protocol's greeting, of which nothing is passed on
        raise no_reply("connect", "lost", "not an SMTP server")
    expect(account, "connect", 2, code, text)
    on_step("connect")
    _hello(dialog, account)
    if account.encryption == "starttls":
        if not dialog.has_extn("starttls"):
            raise no_reply("starttls", "tls", "the server offers no STARTTLS")
        ask(dialog, account, "starttls", "STARTTLS", 2)
        try:
            dialog.secure(tls_context(ca_file), host)
        except NoReply as error:
            raise no_reply("starttls", error.kind, error.detail) from error
        _hello(dialog, account)  # what was offered in the clear may have been forged
    if account.encryption != "none":
        on_step("tls")


def _hello(dialog: Dialog, account: Account) -> None:
    try:
        code, text = dialog.ehlo()
        if code in (500, 502):  # a server from before 1995 (RFC 5321 section 3.2)
            code, text = dialog.helo()
    except NoReply as error:
        raise no_reply("ehlo", error.kind, error.detail) from error
    expect(account, "ehlo", 2, code, text)
