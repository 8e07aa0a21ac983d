"""A drain's line to its server: the lease lasts for whatever the server may take."""

import pytest

from portal.models import Tenant
from portal.services.delivery import line
from portal.services.routing import lanes
from portal.transport.base import Timeouts
from portal.transport.smtp.connection import BLOCK
from tests.services.conftest import RelayTo
from tests.support.scripted_server import ScriptedServer
from tests.support.steps import accept, drain


def test_a_lease_outlasts_all_that_a_server_may_take_between_two_looks_at_it() -> None:
    """Else mail for a slow server would come back as from a dead lane, and be set aside in the end."""
    allowed, preparing = Timeouts(), 4
    assert preparing + line._SLOW_AFTER + allowed.command < lanes.LEASE_SECONDS
    assert preparing + line._SLOW_AFTER + 2 * allowed.command < line._SLOW_SERVER_SECONDS  # DATA, a small body
    assert line._SLOW_AFTER + allowed.connect + allowed.greeting + allowed.command < line._SLOW_SERVER_SECONDS
    assert line._SLOW_AFTER + allowed.command + allowed.block < line._SLOW_BLOCK_SECONDS


def test_a_lease_is_extended_with_each_block_of_a_mail(
    tenant: Tenant, relay_to: RelayTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[float] = []
    keep = lanes.extend

    def measured(lease: lanes.Lease, seconds: float = lanes.LEASE_SECONDS, **values: object) -> None:
        left.append(seconds)
        keep(lease, seconds, **values)

    monkeypatch.setattr(line, "_SLOW_AFTER", -1)  # each step is a slow one
    monkeypatch.setattr(lanes, "extend", measured)
    with ScriptedServer() as server:
        relay_to(server)
        accept(tenant, text="x" * 70 + "\n" * 300_000)
        assert drain() == 1
    assert left.count(line._SLOW_BLOCK_SECONDS) >= 300_000 // BLOCK
