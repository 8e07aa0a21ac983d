"""Migrations: they make what the models say, and a later one deletes nothing."""

import hashlib
import shutil
import warnings
from datetime import timedelta
from pathlib import Path

import flask_migrate
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from sqlalchemy import bindparam, func, insert, select, text

from portal.extensions import db
from portal.models import (
    ApiKey,
    AuditEntry,
    Base,
    Driver,
    DriverTest,
    LogEntry,
    MailCount,
    Message,
    SignInLink,
    Tenant,
    User,
    utcnow,
)  # fmt: skip
from portal.models.api_key import Scope
from portal.models.driver import DriverState
from portal.reasons import words as reasons
from portal.services.accounts import api_keys
from portal.services.delivery import driver_stopped
from portal.services.outbox import accept as outbox

ONE_PERSON = "0015"
WIDER_NAME = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "9999", "{head}", None, None


def upgrade():
    with op.batch_alter_table("tenant") as batch:
        batch.alter_column("name", existing_type=sa.String(200), type_=sa.String(300))


def downgrade():
    with op.batch_alter_table("tenant") as batch:
        batch.alter_column("name", existing_type=sa.String(300), type_=sa.String(200))
"""


@pytest.fixture
def driver(tenant: Tenant) -> Driver:
    about = {"host": "smtp.shop.example", "port": 465, "encryption": "tls", "username": "shop", "secret": "x"}
    made = Driver(tenant_id=tenant.id, from_address="shop@acme.example", **about)
    db.session.add(made)
    db.session.commit()
    return made


def counts() -> list[int]:
    db.session.rollback()
    return [
        db.session.scalar(select(func.count()).select_from(model)) or 0 for model in (Tenant, User, Message, LogEntry)
    ]


def test_a_rebuilt_table_keeps_what_refers_to_it(ctx: Flask, tenant: Tenant, user: User, tmp_path: Path) -> None:
    """SQLite drops the old table then, and with foreign keys on that deletes by cascade."""
    outbox.accept(tenant, kind="order_update", to="a@b.example", subject="Hi", text="Hi")
    before = counts()
    folder = tmp_path / "migrations"
    shutil.copytree(Path(ctx.root_path) / "migrations", folder)
    head = sorted(path.stem[:4] for path in (folder / "versions").glob("0*.py"))[-1]
    (folder / "versions" / "9999_wider_name.py").write_text(WIDER_NAME.format(head=head))
    db.session.remove()
    flask_migrate.upgrade(directory=str(folder))
    try:
        assert counts() == before and before == [1, 1, 1, 1]
    finally:
        db.session.remove()
        flask_migrate.downgrade(directory=str(folder), revision=head)


def test_api_keys_of_before_scopes_may_do_everything_for_all_tenants_and_without_end(ctx: Flask) -> None:
    db.session.remove()
    flask_migrate.downgrade(revision="0009")
    try:
        values = {"name": "backend", "digest": hashlib.sha256(b"absender_old").hexdigest(), "at": utcnow()}
        with db.engine.begin() as connection:
            old = text("INSERT INTO api_key (name, digest, created_at) VALUES (:name, :digest, :at)")
            connection.execute(old.bindparams(bindparam("at", type_=ApiKey.created_at.type)), values)
    finally:
        flask_migrate.upgrade()
    key = api_keys.authenticate("absender_old")
    assert key is not None and (set(key.scopes), key.tenants) == (set(Scope), None)
    assert api_keys.everything()[-1].ends_at is None
    assert key.covers("any")


def test_an_upgrade_keeps_refused_drivers_and_what_their_logs_say(tenant: Tenant, user: User, driver: Driver) -> None:
    """In a filled database of the version before a refused driver was `broken`, and `driver_stands_still` a reason."""
    message = outbox.accept(tenant, kind="order_update", to="a@b.example", subject="Hi", text="Hi")
    db.session.remove()
    flask_migrate.downgrade(revision="0009")
    try:
        with db.engine.begin() as connection:
            connection.execute(text("UPDATE driver SET state = 'broken', reason = 'bad_credentials'"))
            about = {"tenant_id": message.tenant_id, "message_id": message.id, "at": utcnow()}
            entry = about | {"event": "sender_changed", "reason": "driver_stands_still"}
            connection.execute(insert(LogEntry), [entry])
        before = counts()
    finally:
        db.session.remove()
        flask_migrate.upgrade()
    assert counts() == before
    kept = db.session.scalars(select(Driver)).one()
    assert (kept.state, kept.reason) == (DriverState.STOPPED, "bad_credentials")
    (told,) = db.session.scalars(select(LogEntry).where(LogEntry.event == "sender_changed"))
    assert reasons.phrase(told.reason, str) == "your mail service can't send at the moment"


def test_rows_of_one_address_become_one_person_with_the_newest_role(tenant: Tenant) -> None:
    rows = [  # subject, address, role, hours since they were seen, invited
        ("old", "Jo@shop.example", "admin", 5, False),
        ("new", "jo@shop.example", "viewer", 1, False),
        ("invited:1", "jo@shop.example", "admin", 0, True),
        ("other", "kim@shop.example", "admin", 9, False),
        ("invited:2", "lee@shop.example", "viewer", 2, True),
    ]
    staff = [("sam", 3), ("sam-2", 2)]
    audited = AuditEntry(
        tenant_id=tenant.id, user_id=1, who="Jo@shop.example", role="admin", action="held_mail", subject="", before={},
        after={},
    )  # fmt: skip
    db.session.add(audited)
    test = outbox.record_test(tenant, to="jo@shop.example", subject="Test")
    db.session.commit()
    db.session.remove()
    flask_migrate.downgrade(revision=ONE_PERSON)
    flask_migrate.downgrade()  # of this one alone
    try:
        with db.engine.begin() as connection:
            made = text(
                'INSERT INTO "user" (tenant_id, subject, email, email_key, name, role, created_at, seen_at, invited_at,'
                " session_version) VALUES (:tenant, :subject, :email, :key, '', :role, :at, :at, :invited, 'x')"
            ).bindparams(bindparam("at", type_=User.seen_at.type), bindparam("invited", type_=User.seen_at.type))
            for subject, email, role, hours, invited in rows:
                at = utcnow() - timedelta(hours=hours)
                values = {"tenant": test.tenant_id, "subject": subject, "email": email, "key": email.lower()}
                connection.execute(made, values | {"role": role, "at": at, "invited": at if invited else None})
            for subject, hours in staff:
                email = "sam@marketplace.example"
                values = {"tenant": None, "subject": subject, "email": email, "key": email, "role": "support"}
                connection.execute(made, values | {"at": utcnow() - timedelta(hours=hours), "invited": None})
            first = connection.scalar(text("""SELECT id FROM "user" WHERE subject = 'old'"""))
            about = {"tenant_id": test.tenant_id, "user_id": first, "message_id": test.id, "state": "running"}
            account = {"host": "h", "port": 465, "encryption": "tls", "username": "u", "secret": "s"}
            more = {"fingerprint": "", "preset": "other", "from_address": "", "from_name": "", "steps": []}
            connection.execute(insert(DriverTest), [about | account | more | {"created_at": utcnow()}])
    finally:
        flask_migrate.upgrade()
    kept = db.session.scalars(select(User).order_by(User.email_key)).all()
    assert [(user.subject, user.role) for user in kept] == [
        ("new", "viewer"), ("other", "admin"), ("invited:2", "viewer"), ("sam-2", "support"),
    ]  # fmt: skip
    assert [user.launched_at is not None for user in kept] == [True, True, False, True]
    assert db.session.scalars(select(DriverTest.user_id)).all() == [kept[0].id]
    assert "Jo@shop.example" in db.session.scalars(select(AuditEntry.who)).all()


def test_an_upgrade_goes_on_counting_and_keeps_links_that_are_out(tenant: Tenant, user: User) -> None:
    db.session.remove()
    flask_migrate.downgrade(revision="0012")
    try:
        with db.engine.begin() as connection:
            at = utcnow().isoformat(sep=" ").removesuffix("+00:00")
            connection.execute(
                text("INSERT INTO verification_mail (tenant_id, address_key, at) VALUES (1, 'a@b.example', :at)"),
                {"at": at},
            )
            columns = "(address, nonce, locale, created_at)"
            connection.execute(
                text(f"INSERT INTO sign_in_link {columns} VALUES ('a@b.example', 'x', 'en', :at)"), {"at": at}
            )
    finally:
        db.session.remove()
        flask_migrate.upgrade()
    counted, link = db.session.scalars(select(MailCount)).one(), db.session.scalars(select(SignInLink)).one()
    assert (counted.mailbox, counted.kind, counted.tenant_id) == ("a@b.example", "verification", 1)
    assert abs(link.expires_at - link.created_at - timedelta(minutes=15)) < timedelta(milliseconds=2)


def test_a_worker_of_the_version_before_may_go_on_meanwhile(tenant: Tenant, driver: Driver) -> None:
    """It stops a driver in its own words, which are read as today's until the clock has made them so."""
    with db.engine.begin() as connection:
        connection.execute(text("UPDATE driver SET state = 'broken', reason = 'bad_credentials'"))
    assert db.session.scalars(select(Driver.state)).one() == DriverState.STOPPED
    assert driver_stopped.tell_forgotten() == 1
    db.session.rollback()
    assert db.session.scalar(text("SELECT state FROM driver")) == "stopped"


def test_migrations_make_what_the_models_say(ctx: Flask) -> None:
    with db.engine.connect() as connection, warnings.catch_warnings():
        # The index on lower(to_address) can't be read back from SQLite, so it is left out on both sides.
        warnings.simplefilter("ignore")
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        differences = [d for d in compare_metadata(context, Base.metadata) if "ix_message_recipient" not in str(d)]
    assert differences == []
