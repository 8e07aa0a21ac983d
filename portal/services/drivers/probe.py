"""A driver's test: one mail to the person's own address, each step written down as it is done."""

from __future__ import annotations

import logging
import secrets as random_secrets
import time
from contextlib import closing
from functools import partial

from sqlalchemy import select, update

from portal import encryption
from portal.config import settings
from portal.db.transaction import after_commit, read, transaction
from portal.extensions import db
from portal.models import DriverTest, LogEntry, Message, Tenant, User, utcnow
from portal.models.driver import PROBING, DriverState
from portal.models.message import Kind, State
from portal.models.tenant import TenantState
from portal.reasons import Reason, is_credentials
from portal.services import message_state
from portal.services.accounts import tenants
from portal.services.drivers import guesses, lifecycle, quota
from portal.services.drivers import settings as driver_settings
from portal.services.drivers.save_gate import GIVE_UP
from portal.services.emails import contents, shop_name
from portal.services.message_state import MESSAGE, Change, change
from portal.services.routing.compose import compose
from portal.transport.base import PROGRESS, STEPS, Reply, Timeouts, TransportFailure
from portal.transport.factory import open_transport
from portal.transport.mime.addresses import Mailbox
from portal.transport.mime.build import Stamp

# 150 s in all. The greeting may take as long as in sending, or an account that works would fail its test.
_TIMEOUTS = Timeouts(connect=10, command=20, dot=40, session=150)
_SIGN_IN_REFUSED = 535  # RFC 4954, 6: whatever else the server says with it
_UNREACHED = Reply(0, "lost")  # closed, filtered, or open and silent: a test is no port scanner

log = logging.getLogger(__name__)


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
        with read() as session:
            self.test = session.get_one(DriverTest, test_id, populate_existing=True)
            self.tenant = session.get_one(Tenant, self.test.tenant_id, populate_existing=True)
            self.message = session.get_one(Message, self.test.message_id)
            self.user = session.get_one(User, self.test.user_id)
        self.timeouts = timeouts
        self.steps: list[dict[str, object]] = []
        self.since = time.monotonic()

    def go(self) -> None:
        test = self.test
        if self.tenant.state == TenantState.SUSPENDED:
            return self._end("failed", Reply(0, "internal"), Reason.TENANT_SUSPENDED)
        try:
            account = driver_settings.of(test).account()
        except encryption.Unreadable:
            return self._end("failed", Reply(0, "internal"), Reason.UNREADABLE_SECRET)
        sender = Mailbox(test.from_name, test.from_address)
        locale = self.user.locale or self.tenant.locale
        content = contents.build(
            Kind.DRIVER_TEST, self.message.subject, locale, tenant=self.shop(locale), sender=str(sender)
        )
        stamp = Stamp(utcnow(), self.message.message_id, random_secrets.token_hex(16))
        mail = compose(content, sender, test.from_address, Mailbox("", self.message.to_address), stamp)
        try:
            transport = open_transport(account, timeouts=self.timeouts, network=settings().network, on_step=self._step)
            with closing(transport):
                receipt = transport.send(mail, lambda: True)
        except TransportFailure as failure:
            if failure.unreached:
                self._end("failed", _UNREACHED, Reason.SERVICE_UNAVAILABLE)
            else:
                self._end("failed", failure.reply, failure.verdict.reason)
        except Exception:
            log.exception("driver test %s ended by a defect of ours", test.id)
            self._end("failed", Reply(0, "internal"), Reason.LOCAL_ERROR)
        else:
            self._end("passed", Reply(receipt.code, receipt.text), None)

    def shop(self, locale: str) -> str:
        with read():
            return shop_name.shown(self.tenant, locale)

    def _step(self, name: str) -> None:
        """Write down that a step is done, so that the open page shows it."""
        if name == PROGRESS:
            return
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
            _close_message(message, State.SENT if state == "passed" else State.FAILED, reason, reply, test)
            if state == "passed":
                guesses.forget(tenant, test)
            elif reply.code != _SIGN_IN_REFUSED and not is_credentials(reason):
                guesses.take_back(tenant, test)
            driver = lifecycle.find(tenant)
            if driver is not None:
                session.flush()
                quota.count_tests(driver)
            if state != "passed" or driver is None or driver.state == DriverState.PAUSED:
                return  # what a person paused, a person resumes
            if test.driver_version == driver.version:
                lifecycle.resume(tenant)


def give_up_old() -> int:
    """End the tests whose worker died; the clock's work. Returns how many."""
    with transaction() as session:
        old = session.scalars(
            select(DriverTest).where(DriverTest.state.in_(PROBING), DriverTest.created_at <= utcnow() - GIVE_UP)
        ).all()
        for test in old:
            test.state, test.finished_at, test.reason = "unfinished", utcnow(), Reason.INTERRUPTED
            message = session.get_one(Message, test.message_id)
            _close_message(message, State.FAILED, Reason.INTERRUPTED, Reply(0, "lost"), test)
            guesses.take_back(session.get_one(Tenant, test.tenant_id), test)
    return len(old)


def _close_message(message: Message, state: State, reason: str | None, reply: Reply, test: DriverTest) -> None:
    sender = str(Mailbox(test.from_name, test.from_address))
    about = {"reason": reason, "sender": sender, "finished_at": utcnow()}
    db.session.execute(change([State.SENDING], state, **about).where(MESSAGE.c.id == message.id))
    db.session.add(
        LogEntry(
            tenant_id=message.tenant_id, message_id=message.id, event=state, reason=reason, code=reply.code or None,
            text=reply.text, sender=sender,
        )
    )  # fmt: skip
    told = Change(
        message.id, message.tenant_id, message.public_id, state, state, reason, message.route, message.attempt,
        code=reply.code or None,
    )  # fmt: skip
    after_commit(partial(message_state.tell, [told]))
