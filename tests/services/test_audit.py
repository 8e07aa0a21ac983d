"""The audit trail: each change leaves an entry in its own transaction, without secrets, for good."""

from typing import Any

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import DBAPIError

from portal import encryption
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import AuditEntry, Driver, SenderIdentity, Tenant, User
from portal.services import audit
from portal.services.accounts import tenants
from portal.services.drivers import lifecycle
from portal.services.errors import NotFound
from portal.services.senders import identities, verification

SECRET = "canary-parola-77"


def trail(tenant: Tenant) -> list[AuditEntry]:
    """Oldest first."""
    return list(db.session.scalars(select(AuditEntry).where(AuditEntry.tenant_id == tenant.id).order_by(AuditEntry.id)))


def actions(tenant: Tenant) -> list[str]:
    return [entry.action for entry in trail(tenant)]


def store_driver(tenant: Tenant, user: User, version: int = 0, **changes: Any) -> Driver:
    values = {
        "preset": "other", "host": "mail.acme.example", "port": 587, "encryption": "starttls", "username": "acme",
        "secret": encryption.encrypt(SECRET), "from_address": "shop@acme.example", "from_name": "Acme",
    } | changes  # fmt: skip
    with transaction():
        return lifecycle.put(tenants.lock(tenant), user, version, values)


def test_a_senders_changes_are_told_from_what_to_what(tenant: Tenant, user: User) -> None:
    identity = verification.start_verification(tenant, user, "hello@acme.example", "Acme")
    verification.cancel_pending(tenant, user, identity.id)
    with transaction():
        db.session.get_one(SenderIdentity, identity.id).state = "verified"
    identities.use_identity(tenant, user, identity.id)
    identities.use_default(tenant, user)
    created, started, cancelled, chosen, default = trail(tenant)
    assert (created.action, created.role, created.after["plan"]) == ("tenant_created", "platform", "enterprise")
    assert (started.action, started.subject) == ("sender_started", "hello@acme.example")
    assert (cancelled.action, cancelled.who, cancelled.user_id) == ("sender_cancelled", user.email, user.id)
    assert chosen.before == {"sender": "Marketplace <notifications@marketplace.example>"}
    assert chosen.after == default.before == {"sender": "Acme <hello@acme.example>"}


def test_whoever_presses_the_mailed_button_is_named_by_the_address(tenant: Tenant, user: User) -> None:
    identity = verification.start_verification(tenant, user, "hello@acme.example", "Acme")
    verification.confirm(verification._token(identity))
    last = trail(tenant)[-1]
    assert (last.action, last.role, last.who) == ("sender_confirmed", "recipient", "hello@acme.example")


def test_a_drivers_changes_are_told_without_its_secret(tenant: Tenant, user: User) -> None:
    store_driver(tenant, user)
    store_driver(tenant, user, 1, port=465, encryption="tls", secret=encryption.encrypt(SECRET))
    store_driver(tenant, user, 2, port=465, encryption="tls", secret=encryption.encrypt("another"))
    lifecycle.pause(tenant, user)
    lifecycle.resume(tenant, user)
    lifecycle.set_held_mail(tenant, user, "default")
    lifecycle.set_held_mail(tenant, user, "default")  # nothing changes
    lifecycle.remove(tenant, user)
    _, first, port, password, *later = trail(tenant)
    assert first.before == {} and first.after["host"] == "mail.acme.example"
    assert port.before == {"port": 587, "encryption": "starttls"} and port.after == {"port": 465, "encryption": "tls"}
    assert (password.before, password.after) == ({}, {"secret": "replaced"})
    assert [entry.action for entry in later] == ["driver_paused", "driver_resumed", "held_mail", "driver_removed"]
    assert SECRET not in repr([vars(entry) for entry in trail(tenant)])


def test_the_platforms_changes_are_told_only_where_something_changes(tenant: Tenant) -> None:
    tenants.upsert("acme", name="Acme Shop", plan="enterprise")
    tenants.upsert("acme", plan="pro", by=audit.by_api_key("backend"))
    assert actions(tenant) == ["tenant_created", "tenant_changed"]
    last = trail(tenant)[-1]
    assert (last.who, last.role, last.before, last.after) == (
        "API: backend", "platform", {"plan": "enterprise"}, {"plan": "pro"},
    )  # fmt: skip


def test_what_is_refused_or_rolled_back_leaves_no_entry(tenant: Tenant, user: User) -> None:
    before = actions(tenant)
    with pytest.raises(NotFound):
        lifecycle.pause(tenant, user)
    with pytest.raises(RuntimeError), transaction():
        identities.use_default(tenant, user)
        raise RuntimeError
    assert actions(tenant) == before


@pytest.mark.parametrize("change", [update(AuditEntry).values(who="nobody"), delete(AuditEntry)])
def test_the_database_refuses_to_change_or_delete_an_entry(tenant: Tenant, change: Any) -> None:
    with pytest.raises(DBAPIError, match="append-only"), transaction() as session:
        session.execute(change)
    assert actions(tenant) == ["tenant_created"]


def test_the_database_refuses_to_replace_an_entry(tenant: Tenant) -> None:
    """By a statement that is neither UPDATE nor DELETE, or that says to change what is in its way."""
    copied = ", ".join(f'"{column.name}"' for column in AuditEntry.__table__.columns)
    forged = copied.replace('"who"', "'somebody else'")
    insert = f"INTO audit ({copied}) SELECT {forged} FROM audit"
    ways = [f"INSERT {insert} WHERE true ON CONFLICT (id) DO UPDATE SET who = excluded.who"]
    if db.engine.dialect.name == "sqlite":
        ways += [f"INSERT OR REPLACE {insert}", f"REPLACE {insert}", "UPDATE OR REPLACE audit SET who = 'x'"]
    else:
        ways += ["TRUNCATE audit", "TRUNCATE audit, tenant CASCADE", "TRUNCATE tenant CASCADE"]
    for statement in ways:
        with pytest.raises(DBAPIError, match="append-only"), transaction() as session:
            session.execute(text(statement))
    assert [entry.who for entry in trail(tenant)] == [""]  # the platform


def test_pages_follow_one_another_without_a_gap(tenant: Tenant, user: User) -> None:
    with transaction():
        for number in range(7):
            audit.record(tenant, user, "sent_again", f"msg_{number}")
    seen: list[int] = []
    before: int | None = None
    while True:
        rows, before = audit.page(tenant, before, 3)
        seen += [row.id for row in rows]
        if before is None:
            break
    assert seen == sorted((entry.id for entry in trail(tenant)), reverse=True) and len(seen) == 8
