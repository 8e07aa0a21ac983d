"""A drain's line to its server: opened for the first mail, by the account as it is then, and left to the next drain."""

from __future__ import annotations

import time

from portal.config import settings
from portal.db.transaction import read, transaction
from portal.models import Driver
from portal.services.delivery.place import Place
from portal.services.drivers import quota
from portal.services.drivers import settings as driver_settings
from portal.services.routing import lanes
from portal.services.routing.lanes import Lease
from portal.transport.base import Timeouts, Transport
from portal.transport.factory import new_transport
from portal.transport.smtp.account import Account

# A server may take its time for its greeting, TLS, each command and the body; the lane must stay ours meanwhile: who
# loses it counts as dead. The lease is looked at between steps: it lasts for what may come until the next look.
_SLOW_SERVER_SECONDS = 180
_SLOW_BLOCK_SECONDS = Timeouts.block + lanes.LEASE_SECONDS  # the same for each block of a mail
_SLOW_AFTER = 5
_LARGE = 64 * 1024  # octets of a mail that a server may take long to read


class Line:
    """One lane's transport in one drain, and the lease that must not run out while the server is waited for."""

    def __init__(self, lease: Lease, place: Place, timeouts: Timeouts) -> None:
        self.lease = lease
        self.place = place
        self.timeouts = timeouts
        self.transport: Transport | None = None
        self._account: Account | None = None
        self._idle_seconds = 0.0
        self._extended_at = 0.0
        self._longest_wait: float = _SLOW_SERVER_SECONDS  # between two steps of the transport

    def extended(self) -> None:
        """A claim or an outcome has just extended the lease."""
        self._extended_at = time.monotonic()

    def ready(self, size: int) -> Transport:
        """Return a transport that can take a mail of `size` octets. Raises TransportFailure, LeaseLost, Unreadable."""
        self._longest_wait = _SLOW_BLOCK_SECONDS if size > _LARGE else _SLOW_SERVER_SECONDS
        if self.transport is None or not self.transport.usable:
            self.close()
            self.transport = self._kept() or self._opened()
        elif size > _LARGE:
            self._keep_lease()
        self.place.uses(self.transport.abort)
        self.place.waits()
        return self.transport

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()
            self.transport = None

    def leave(self) -> None:
        """Leave the connection to the lane's next drain."""
        if self.transport is not None and self._account is not None:
            self.place.shared.connections.keep(self.lease.lane_id, self._account, self.transport, self._idle_seconds)
            self.transport = None

    def _kept(self) -> Transport | None:
        self._look_up()
        assert self._account is not None
        kept = self.place.shared.connections.take(self.lease.lane_id, self._account)
        if kept is not None:
            kept.on_step = self._on_step
        return kept

    def _opened(self) -> Transport:
        assert self._account is not None
        self._keep_lease()
        network = settings().network
        transport = new_transport(self._account, timeouts=self.timeouts, network=network, on_step=self._on_step)
        self.place.uses(transport.abort)
        self.place.waits()
        transport.open()
        return transport

    def _look_up(self) -> None:
        """The account as it is now, and how long its server lets a connection wait for another mail."""
        idle = settings().smtp_idle_seconds
        driver_id = self.lease.route.driver_id
        if driver_id is None:
            self._account, self._idle_seconds = settings().relay_account, idle
            return
        with read() as session:
            driver = session.get_one(Driver, driver_id, populate_existing=True)
            most = quota.provider(driver).limits.idle_seconds
            self._account = driver_settings.of(driver).account()
            self._idle_seconds = idle if most is None else min(idle, most)

    def _on_step(self, step: str) -> None:
        """Claims and outcomes extend the lease too; this is for the servers that need longer than it lasts."""
        self.place.waits()
        if time.monotonic() - self._extended_at > _SLOW_AFTER:
            self._keep_lease()

    def _keep_lease(self) -> None:
        with transaction():
            lanes.extend(self.lease, max(self._longest_wait, 2 * self.timeouts.dot))
        self._extended_at = time.monotonic()
