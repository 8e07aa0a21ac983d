"""The one place where an account becomes a transport."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from portal.transport.base import Network, OnStep, Timeouts, Transport
from portal.transport.smtp.account import Account
from portal.transport.smtp.connection import Connection

# Each is called as its account, and `timeouts`, `network` and `on_step` by name.
Maker = Callable[..., Transport]

MEMBERS: dict[type[Any], Maker] = {Account: Connection}
_stand_ins: dict[Account, Maker] = {}


def new_transport(account: Account, *, timeouts: Timeouts, network: Network, on_step: OnStep) -> Transport:
    """A transport to the account, not open yet."""
    make = _stand_ins.get(account) or MEMBERS[type(account)]
    return make(account, timeouts=timeouts, network=network, on_step=on_step)


def open_transport(account: Account, *, timeouts: Timeouts, network: Network, on_step: OnStep) -> Transport:
    """A transport to the account, open and ready for mail; the caller closes it. Raises TransportFailure."""
    transport = new_transport(account, timeouts=timeouts, network=network, on_step=on_step)
    transport.open()
    return transport


@contextmanager
def in_place_of(account: Account, make: Maker) -> Iterator[None]:
    """Within the block, in all threads, mail for this account goes out by what `make` returns. For tests."""
    before = dict(_stand_ins)
    _stand_ins[account] = make
    try:
        yield
    finally:
        _stand_ins.clear()
        _stand_ins.update(before)
