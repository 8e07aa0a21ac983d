"""When a message is tried again."""

import pytest

from portal.services.delivery.retry_policy import seconds_until_next
from portal.transport.base import Action, Verdict


@pytest.mark.parametrize(("retries", "minutes"), [(0, 1), (3, 30), (7, 480), (40, 480)])
def test_the_waits_grow_up_to_eight_hours(retries: int, minutes: int) -> None:
    assert seconds_until_next(retries, Verdict(Action.RETRY_MESSAGE, "greylisted")) == minutes * 60


@pytest.mark.parametrize(("named", "waited"), [(0, 5), (300, 300), (10**6, 8 * 3600)])
def test_a_server_may_name_the_wait_within_reason(named: int, waited: int) -> None:
    assert seconds_until_next(0, Verdict(Action.RETRY_MESSAGE, "greylisted", named)) == waited
