"""Who a tenant's mail comes from."""

from portal.models import Tenant
from portal.services.senders.settings_page import sender_settings


def test_a_new_tenant_sends_from_the_platforms_default(tenant: Tenant) -> None:
    shown = sender_settings(tenant)
    assert shown.mode == "platform"
    assert shown.from_header == "Marketplace <notifications@marketplace.example>"
    assert shown.pending is None
