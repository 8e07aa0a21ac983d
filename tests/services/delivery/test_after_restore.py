"""After an older back-up was restored."""

from datetime import timedelta

import pytest

from portal.models import Tenant, utcnow
from portal.services.delivery import after_restore
from portal.services.routing import lanes
from tests.support.steps import accept, again, events


def test_what_was_on_its_way_then_ends_as_unconfirmed(tenant: Tenant) -> None:
    message, before = accept(tenant), utcnow() + timedelta(seconds=1)
    assert after_restore.count(before) == after_restore.end_unconfirmed(before) == 1
    assert again(message).state == "unconfirmed" and events(message) == ["queued", "unconfirmed"]
    assert after_restore.count(before) == 0


def test_nothing_ends_while_a_lane_is_leased(tenant: Tenant) -> None:
    message = accept(tenant)
    assert lanes.take(1)
    with pytest.raises(after_restore.StillWorking):
        after_restore.end_unconfirmed(utcnow() + timedelta(seconds=1))
    assert again(message).state == "queued"
