"""What the sender's page shows."""

from portal.models import Tenant, User
from portal.services.senders import verification
from portal.services.senders.settings_page import driver_status, sender_settings


def test_a_pending_address_is_shown_beside_the_sender_in_force(tenant: Tenant, user: User) -> None:
    assert sender_settings(tenant).pending is None and driver_status(tenant) is None
    identity = verification.start_verification(tenant, user, "hello@acme.example", "Acme")
    page = sender_settings(tenant)
    assert page.mode == page.chosen_mode == "platform" and page.choices == []
    assert page.pending and page.pending.identity.id == identity.id and not page.pending.expired
