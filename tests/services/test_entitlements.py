"""What a tenant's plan allows."""

import pytest

from portal.models import Tenant
from portal.services import entitlements
from portal.services.errors import PlanLocked


def test_a_plan_allows_what_its_file_says_and_a_lost_one_nothing(tenant: Tenant) -> None:
    smallest = entitlements.first_with("brand_sender")
    assert smallest and "brand_sender" in smallest.features
    assert entitlements.allows(tenant, "own_driver") and not entitlements.has("no longer sold", "brand_sender")
    assert entitlements.first_with("no such feature") is None
    tenant.plan = "basic"
    with pytest.raises(PlanLocked) as refused:
        entitlements.require(tenant, "own_driver")
    assert refused.value.feature == "own_driver"
