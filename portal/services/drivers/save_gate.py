"""The test gate: settings become a driver only as exactly what a test mail has passed with."""

from __future__ import annotations

import logging
import secrets as random_secrets
import time
from dataclasses import replace
from datetime import timedelta
from functools import partial

from sqlalchemy import delete, exists, select, update

from portal import encryption, job_queue
from portal.config import settings
from portal.db.transaction import after_commit, transaction
from portal.extensions import db
from portal.models import Driver, DriverTest, LogEntry, Message, Tenant, User, utcnow
from portal.services import entitlements
from portal.services.accounts import tenants
from portal.services.drivers import lifecycle, quota
from portal.services.drivers import settings as driver_settings
from portal.services.drivers.settings import DriverSettings
from portal.services.emails import contents
from portal.services.errors import AlreadyTesting, InvalidFields, SettingsUntested
from portal.services.outbox import accept as outbox
from portal.transport.mime.addresses import Mailbox
from portal.transport.mime.build import build
from portal.transport.smtp.connection import Connection, Envelope, Reply, SMTPFailure, Timeouts
from portal.transport.smtp.replies import classify
from portal.transport.smtp.stream import NO_TLS

PASS_LIFE = timedelta(minutes=30)
GIVE_UP = timedelta(seconds=90)
STEPS = ("resolve", "connect", "tls", "sign_in", "sender", "recipient", "accepted")
_TIMEOUTS = Timeouts(connect=10, command=20, dot=40, session=80)
_UNREACHED = Reply(0, "lost")  # closed, filtered, or open and silent: a test is no port scanner

log = logging.getLogger(__name__)


def start(tenant: Tenant, user: User, wanted: DriverSettings) -> DriverTest:
    """Try the settings with a mail to the person's own address; a job does it.

    An empty secret means the stored one, as long as host and username are its. Raises InvalidFields, AlreadyTesting,
    PlanLocked.
    """
    entitlements.require(tenant, "own_driver")
    wanted = wanted.cleaned(tenant)
    with transaction() as session:
        tenant = tenants.lock(tenant)
        last = latest(tenant)
        if last is not None and state_of(last) in ("queued", "running"):
            raise AlreadyTesting
        wanted = _with_stored_secret(tenant, wanted)
        subject = contents.driver_test_subject(tenant, user.locale or tenant.locale)
        message = outbox.record_test(tenant, to=user.email, subject=subject)
        test = DriverTest(
            tenant_id=tenant.id, user_id=user.id, message_id=message.id, fingerprint=wanted.fingerprint(tenant),
            **{name: getattr(wanted, name) for name in lifecycle.FIELDS if name != "secret"},
            secret=encryption.encrypt(wanted.secret),
        )  # fmt: skip
        session.add(test)
        session.flush()
        after_commit(partial(job_queue.enqueue_interactive, "jobs.driver_test.run", test.id))
    return test


def latest(tenant: Tenant) -> DriverTest | None:
    """The tenant's newest test, as it is now."""
    return db.session.scalar(
        select(DriverTest)
        .where(DriverTest.tenant_id == tenant.id)
        .order_by(DriverTest.id.desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )


def state_of(test: DriverTest) -> str:
    """queued, running, passed, failed or unfinished: a test whose worker died ends by itself."""
    if test.state in ("queued", "running") and test.created_at + GIVE_UP <= utcnow():
        return "unfinished"
    return test.state


def is_good(test: DriverTest) -> bool:
    """Whether what it tested may still be saved: passed lately, and not before the server refused the account."""
    if test.state != "passed" or test.finished_at is None or utcnow() >= test.finished_at + PASS_LIFE:
        return False
    refused_since = exists().where(
        Driver.tenant_id == test.tenant_id, Driver.state == "broken", Driver.paused_at >= test.finished_at
    )
    return not db.session.scalar(select(refused_since))


def open_test(tenant: Tenant) -> DriverTest | None:
    """The newest test, while it is of interest: it is under way, or ended less than half an hour ago."""
    test = latest(tenant)
    return test if test is not None and utcnow() < (test.finished_at or test.created_at) + PASS_LIFE else None


def discard(tenant: Tenant) -> None:
    """Forget what was tested and not saved, its password with it. Raises AlreadyTesting while a test is under way."""
    with transaction() as session:
        tenant = tenants.lock(tenant)
        last = latest(tenant)
        if last is not None and state_of(last) in ("queued", "running"):
            raise AlreadyTesting
        session.execute(
            delete(DriverTest).where(DriverTest.tenant_id == tenant.id, DriverTest.state.in_(lifecycle.ENDED))
        )


def gate(tenant: Tenant, wanted: DriverSettings) -> str:
    """Whether these settings could be saved now: open, missing, running, changed or expired."""
    test = latest(tenant)
    if test is None:
        return "missing"
    if matches(tenant, wanted) is None:
        return "changed" if test.state == "passed" else "missing"
    if state_of(test) in ("queued", "running"):
        return "running"
    return "open" if is_good(test) else "expired" if test.state == "passed" else "missing"


def matches(tenant: Tenant, wanted: DriverSettings) -> DriverTest | None:
    """The newest test, if it tested exactly these settings (an empty secret: the tested one)."""
    test = latest(tenant)
    if test is None:
        return None
    if not wanted.secret:
        try:
            wanted = replace(wanted, secret=encryption.decrypt(test.secret))
        except encryption.Unreadable:
            return None
    return test if wanted.fingerprint(tenant) == test.fingerprint else None


def save(tenant: Tenant, user: User, wanted: DriverSettings, version: int) -> Driver:
    """Make the tested settings the tenant's driver. What is stored is the tested row, never the form.

    Raises InvalidFields, SettingsUntested, EditConflict, PlanLocked.
    """
    entitlements.require(tenant, "own_driver")
    wanted = wanted.cleaned(tenant)
    with transaction():
        tenant = tenants.lock(tenant)
        test = matches(tenant, wanted)
        if test is None:
            raise SettingsUntested("changed" if latest(tenant) else "missing")
        if test.state != "passed":
            raise SettingsUntested("missing")
        if not is_good(test):
            raise SettingsUntested("expired")
        values = {name: getattr(test, name) for name in lifecycle.FIELDS} | {
            "from_name": wanted.from_name,
            "preset": wanted.preset,
            # Anew, with the key of today: a rotation that runs meanwhile may be past the drivers already.
            "secret": encryption.encrypt(encryption.decrypt(test.secret)),
        }
        driver = lifecycle.put(tenant, user, version, values)
        quota.count_tests(driver)
        return driver


def _with_stored_secret(tenant: Tenant, wanted: DriverSettings) -> DriverSettings:
    if wanted.secret:
        return wanted
    for stored in (latest(tenant), lifecycle.find(tenant)):
        if stored is not None and (stored.host, stored.username) == (wanted.host, wanted.username):
            try:
                return replace(wanted, secret=encryption.decrypt(stored.secret))
            except encryption.Unreadable:
                raise InvalidFields([("secret", "unreadable")]) from None
    raise InvalidFields([("secret", "empty")])


def run(test_id: int, timeouts: Timeouts = _TIMEOUTS) -> None:
    """Send the test mail and write down each step; the job's body. A second run of the same test does nothing."""
    with transaction() as session:
        started = session.execute(
            update(DriverTest)
            .where(DriverTest.id == test_id, DriverTest.state == "queued", DriverTest.created_at > utcnow() - GIVE_UP)
            .values(state="running")
        )
    if started.rowcount != 1:  # type: ignore[attr-defined]
        return
    _Run(test_id, timeouts).go()


class _Run:
    def __init__(self, test_id: int, timeouts: Timeouts) -> None:
        self.test = db.session.get_one(DriverTest, test_id, populate_existing=True)
        self.tenant = db.session.get_one(Tenant, self.test.tenant_id)
        self.message = db.session.get_one(Message, self.test.message_id)
        self.user = db.session.get_one(User, self.test.user_id)
        self.timeouts, self.steps = timeouts, list[dict[str, object]]()
        self.since = time.monotonic()

    def go(self) -> None:
        test = self.test
        try:
            account = driver_settings.of(test).account()
        except encryption.Unreadable:
            return self._end("failed", Reply(0, "internal"), "unreadable_secret")
        config = settings()
        sender = Mailbox(test.from_name, test.from_address)
        locale = self.user.locale or self.tenant.locale
        content = build(
            contents.driver_test(self.tenant, self.message.subject, str(sender), locale),
            sender=sender, to=self.message.to_address, date=utcnow(), message_id=self.message.message_id,
            boundary=random_secrets.token_hex(16),
        )  # fmt: skip
        connection = Connection(
            account,
            timeouts=self.timeouts,
            ca_file=str(config.smtp_ca_file) if config.smtp_ca_file else None,
            policy=config.destination_policy,
            on_step=self._step,
        )
        try:
            with connection:
                reply = connection.send(Envelope(test.from_address, self.message.to_address), content, lambda: True)
        except SMTPFailure as failure:
            mute = failure.phase == "connect" and (failure.reply.text == "timeout" or failure.reply.detail == NO_TLS)
            reply = _UNREACHED if mute else failure.reply
            self._end("failed", reply, classify(failure.phase, reply.code, reply.text).reason)
        except Exception:
            log.exception("driver test %s ended by a defect of ours", test.id)
            self._end("failed", Reply(0, "internal"), "local_error")
        else:
            self._end("passed", reply, None)

    def _step(self, name: str) -> None:
        """Write down that a step is done, so that the open page shows it."""
        now = time.monotonic()
        self.steps = [*self.steps, {"name": name, "seconds": round(now - self.since, 2)}]
        self.since = now
        with transaction() as session:
            session.execute(
                update(DriverTest)
                .where(DriverTest.id == self.test.id, DriverTest.state == "running")
                .values(steps=self.steps)
            )

    def _end(self, state: str, reply: Reply, reason: str | None) -> None:
        test, message, now = self.test, self.message, utcnow()
        done = {step["name"] for step in self.steps}
        failed_step = next((step for step in STEPS if step not in done), None) if state == "failed" else None
        if not reply.code and reply.text == "tls":
            failed_step = "tls"  # with implicit TLS the connection counts as made only after it
        with transaction() as session:
            tenant = tenants.lock(self.tenant)
            ended = session.execute(
                update(DriverTest)
                .where(DriverTest.id == test.id, DriverTest.state == "running")
                .values(
                    state=state, failed_step=failed_step, reason=reason, code=reply.code or None,
                    text=reply.text if reply.code else f"{reply.text}: {reply.detail}",
                    finished_at=now,
                )
            )  # fmt: skip
            if ended.rowcount != 1:  # type: ignore[attr-defined]
                return  # given up meanwhile
            _close_message(message, "sent" if state == "passed" else "failed", reason, reply, test)
            driver = lifecycle.find(tenant)
            if driver is not None:
                session.flush()
                quota.count_tests(driver)
            if state != "passed" or driver is None or driver.state == "paused":
                return  # what a person paused, a person resumes
            if driver_settings.is_account(driver, test.fingerprint, tenant):
                lifecycle.resume(tenant)


def give_up_old() -> int:
    """End the tests whose worker died; the clock's work. Returns how many."""
    with transaction() as session:
        old = session.scalars(
            select(DriverTest).where(
                DriverTest.state.in_(("queued", "running")), DriverTest.created_at <= utcnow() - GIVE_UP
            )
        ).all()
        for test in old:
            test.state, test.finished_at, test.reason = "unfinished", utcnow(), "interrupted"
            message = session.get_one(Message, test.message_id)
            _close_message(message, "failed", "interrupted", Reply(0, "lost"), test)
    return len(old)


def _close_message(message: Message, state: str, reason: str | None, reply: Reply, test: DriverTest) -> None:
    sender = str(Mailbox(test.from_name, test.from_address))
    message.state, message.reason, message.sender, message.finished_at = state, reason, sender, utcnow()
    db.session.add(
        LogEntry(
            tenant_id=message.tenant_id, message_id=message.id, event=state, reason=reason, code=reply.code or None,
            text=reply.text, sender=sender,
        )
    )  # fmt: skip
