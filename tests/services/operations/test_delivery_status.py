"""The operator's view of what waits."""

from portal.models import Tenant
from portal.services.operations import delivery_status
from tests.support.steps import accept


def test_waiting_mail_and_free_lanes_are_seen_by_route(tenant: Tenant) -> None:
    accept(tenant)
    view = delivery_status.read()
    assert view.waiting["relay"].queued == 1
    assert {(lane.route, lane.state) for lane in view.lanes} == {("relay", "free"), ("interactive", "free")}
    assert view.waits_on_purpose() == set()
