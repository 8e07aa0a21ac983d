"""What the sender's page shows."""

import pytest
from sqlalchemy import func, select, update

from portal.models import Driver, Message, Tenant, User
from portal.services.drivers import lifecycle
from portal.services.senders import settings_page, verification
from portal.services.senders.settings_page import driver_status, sender_settings
from tests.support.steps import accept_many, execute


def test_a_pending_address_is_shown_beside_the_sender_in_force(tenant: Tenant, user: User) -> None:
    assert sender_settings(tenant).pending is None and driver_status(tenant) is None
    identity = verification.start_verification(tenant, user, "hello@acme.example", "Acme")
    page = sender_settings(tenant)
    assert page.mode == page.chosen_mode == "platform" and page.choices == []
    assert page.pending and page.pending.identity.id == identity.id and not page.pending.expired


def test_what_was_set_aside_does_not_wait_for_the_driver(tenant: Tenant, user: User, driver: Driver) -> None:
    lifecycle.pause(tenant, user)
    accept_many(tenant, 3)
    first = select(func.min(Message.id)).where(Message.state == "held").scalar_subquery()
    execute(update(Message).where(Message.id == first).values(reason="set_aside"))
    status = driver_status(tenant)
    assert status is not None and status.held == 2


def test_counting_ends_somewhere_whatever_waits(
    tenant: Tenant, user: User, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings_page, "MOST_COUNTED", 2)
    lifecycle.pause(tenant, user)
    accept_many(tenant, 5)
    status = driver_status(tenant)
    assert status is not None and status.held == 3
