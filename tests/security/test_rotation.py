"""A new encryption key while the product runs: nothing stops, and the old key can go."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from flask import Flask
from sqlalchemy import func, insert, select

from portal import create_app, encryption
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Base, Driver, DriverTest, LogEntry, Message, Tenant, utcnow
from portal.models.base import EncryptedText
from portal.services.accounts import launches, tenants
from portal.services.drivers import lifecycle
from portal.services.outbox import accept as outbox
from tests.conftest import Environment
from tests.support import processes
from tests.support.figures import Figure
from tests.support.mail_service import MailService
from tests.support.processes import ROOT, python
from tests.support.waiting import eventually
from tests.support.warm import Warm

SECRETS = 10_000


def store(app: Flask, service: MailService, count: int) -> int:
    """A driver that works, and `count` stored secrets besides. Returns the tenant's id."""
    with app.app_context():
        tenant, _ = tenants.upsert("acme", name="Acme", plan="enterprise")
        user = launches.accept(launches.make_token("acme")).user
        account: dict[str, Any] = {
            "preset": "other", "host": "127.0.0.1", "port": service.port, "encryption": "starttls",
            "username": "shop@acme.example", "from_address": "shop@acme.example", "from_name": "Acme",
        }  # fmt: skip
        with transaction():
            lifecycle.put(tenants.lock(tenant), user, 0, account | {"secret": encryption.encrypt(service.password)})
        with transaction() as session:
            message = outbox.record_test(tenant, to="boss@acme.example", subject="Test")
            test = account | {
                "tenant_id": tenant.id, "user_id": user.id, "message_id": message.id, "fingerprint": "0" * 64,
                "state": "failed", "finished_at": utcnow(), "steps": [],
            }  # fmt: skip
            session.execute(
                insert(DriverTest), [test | {"secret": encryption.encrypt(f"secret {n}")} for n in range(count)]
            )
        return tenant.id


@pytest.mark.security("key rotation of 10,000 stored secrets while mail is sent")
def test_keys_are_rotated_while_mail_goes_out_and_the_old_one_can_go(
    app: Flask, environment: Environment, warm: Warm, options: dict[str, Any], tmp_path: Path, figure: Figure
) -> None:
    old, new = options["encryption_keys"][0], Fernet.generate_key().decode()
    with MailService(tmp_path) as service:
        tenant_id = store(app, service, SECRETS)
        allowed = {
            "smtp_ca_file": service.ca_file, "smtp_allowed_networks": "127.0.0.0/8",
            "smtp_allowed_ports": str(service.port),
        }  # fmt: skip
        options = options | allowed | {"encryption_keys": [new, old]}
        both = environment(**allowed) | {"PORTAL_ENCRYPTION_KEYS": f"{new},{old}"}
        sent_during = 0
        # The new key first in the list everywhere, the old one behind it: then rotate, then the old one goes.
        with warm(processes.WORKER_MAIL, both), warm(processes.CLOCK, both):
            accept(app, tenant_id, 1)
            eventually(lambda: len(service.sink.received) >= 1, "mail goes out")
            rotation = subprocess.Popen(
                python("-m", "flask", "--app", "wsgi", "secrets", "rotate"), cwd=ROOT, env=both, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            while rotation.poll() is None:
                accept(app, tenant_id, 1)
                sent_during += 1
                eventually(lambda: len(service.sink.received) >= 1 + sent_during, "mail goes out meanwhile")  # noqa: B023
            said, _ = rotation.communicate()
            assert rotation.returncode == 0, said
        with warm(processes.WORKER_MAIL, both | {"PORTAL_ENCRYPTION_KEYS": new}):
            accept(app, tenant_id, 3)
            eventually(lambda: len(service.sink.received) >= 4 + sent_during, "mail goes out with the new key alone")
            eventually(lambda: states(app) == {"sent": 4 + sent_during}, "every outcome is written")
    with create_app(**options | {"encryption_keys": [new]}).app_context():
        stored = [*db.session.scalars(select(DriverTest.secret)), *db.session.scalars(select(Driver.secret))]
        unreadable = sum(not encryption.can_read(secret) for secret in stored)
        failures = db.session.scalar(
            select(func.count()).select_from(LogEntry).where(LogEntry.event.in_(("failed", "held", "deferred")))
        )
        db.session.remove()
        db.engine.dispose()
    figure(
        f"{len(stored)} secrets rotated, {sent_during} mails sent meanwhile: {failures} failures, "
        f"{unreadable} unreadable without the old key"
    )
    assert f"Encrypted {SECRETS + 1} stored secrets" in said
    assert len(stored) == SECRETS + 1 and sent_during >= 1
    assert (failures, unreadable) == (0, 0)


def accept(app: Flask, tenant_id: int, count: int) -> None:
    with app.app_context():
        tenant = db.session.get_one(Tenant, tenant_id)
        for number in range(count):
            outbox.accept(tenant, kind="order_update", to=f"c{number}@customer.example", subject="Order", text="Hi")


def states(app: Flask) -> dict[str, int]:
    with app.app_context():
        query = select(Message.state, func.count()).where(Message.kind == "order_update").group_by(Message.state)
        return dict(db.session.execute(query).all())


def test_a_driver_saved_by_a_process_with_the_old_key_first_is_still_read(app: Flask, options: dict[str, Any]) -> None:
    """While processes are restarted one after another, some still encrypt with the old key: it is read, and rotated."""
    old, new = options["encryption_keys"][0], Fernet.generate_key().decode()
    with app.app_context():
        written_late = encryption.encrypt("late")
    with create_app(**options | {"encryption_keys": [new, old]}).app_context():
        assert encryption.decrypt(written_late) == "late"
    with create_app(**options | {"encryption_keys": [new]}).app_context(), pytest.raises(encryption.Unreadable):
        encryption.decrypt(written_late)


def test_a_column_that_is_named_like_a_secret_is_encrypted() -> None:
    """The rotation finds the columns by their type; one that holds a secret as plain text would be missed."""
    columns = [column for table in Base.metadata.sorted_tables for column in table.columns]
    named = [column for column in columns if any(word in column.name for word in ("secret", "password", "private"))]
    assert named and all(isinstance(column.type, EncryptedText) for column in named)
