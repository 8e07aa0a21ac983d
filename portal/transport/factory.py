"""The one place where an account becomes a transport."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from portal.transport.base import HTTP_STEPS, STEPS, Network, OnStep, Timeouts, Transport
from portal.transport.http.account import HTTPAccount
from portal.transport.http.connection import HTTPTransport
from portal.transport.smtp.account import Account
from portal.transport.smtp.connection import Connection

AnyAccount = Account | HTTPAccount
# Each is called as its account, and `timeouts`, `network` and `on_step` by name.
Maker = Callable[..., Transport]

MEMBERS: dict[type[Any], Maker] = {Account: Connection, HTTPAccount: HTTPTransport}
_stand_ins: dict[AnyAccount, Maker] = {}


def steps(account: AnyAccount) -> tuple[str, ...]:
    """What `on_step` hears of a transport to the account, in this order."""
    return HTTP_STEPS if isinstance(account, HTTPAccount) else STEPS


def new_transport(account: AnyAccount, *, timeouts: Timeouts, network: Network, on_step: OnStep) -> Transport:
    """A transport to the account, not open yet."""
    make = _stand_ins.get(account) or MEMBERS[type(account)]
    return make(account, timeouts=timeouts, network=network, on_step=on_step)


def open_transport(account: AnyAccount, *, timeouts: Timeouts, network: Network, on_step: OnStep) -> Transport:
    """A transport to the account, open and ready for mail; the caller closes it. Raises TransportFailure."""
    transport = new_transport(account, timeouts=timeouts, network=network, on_step=on_step)
    transport.open()
    return transport


@contextmanager
def in_place_of(account: AnyAccount, make: Maker) -> Iterator[None]:
    """Within the block, in all threads, mail for this account goes out by what `make` returns. For tests."""
    before = dict(_stand_ins)
    _stand_ins[account] = make
    try:
        yield
    finally:
        _stand_ins.clear()
        _stand_ins.update(before)
