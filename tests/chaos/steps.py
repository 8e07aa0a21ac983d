"""Steps that the rows of the reliability table take."""

import math
import os
from collections import Counter
from collections.abc import Callable
from typing import Any

from flask import Flask
from sqlalchemy import func, select, update

from portal import redis_client
from portal.db.transaction import transaction
from portal.encryption import encrypt
from portal.extensions import db
from portal.models import Driver, Lane, LogEntry, Message, Tenant, User, now
from portal.models.message import WAITING
from portal.services.accounts import launches, tenants
from portal.services.drivers import lifecycle
from portal.services.outbox import accept as outbox
from portal.services.routing import lanes
from portal.transport.destinations import MemoryResolver, Policy
from tests.support.hostile_server import HostileServer
from tests.support.processes import CLOCK, WORKER_MAIL, Process
from tests.support.settings import configure
from tests.support.waiting import eventually
from tests.support.warm import WarmProcess

SQLITE = not os.environ.get("PORTAL_TEST_DATABASE_URL")
HOST = "smtp.shop.example"
DRAINS = 32  # lanes that one process works on
PASSWORD = "correct horse battery"

Start = Callable[..., Process | WarmProcess]


class Run:
    """The product at work: its processes, what it was given, what became of it, and what the server saw."""

    def __init__(self, app: Flask, server: HostileServer, start: Start) -> None:
        self.app = app
        self.server = server
        self._start = start
        self.settings: dict[str, Any] = {}
        self._given = 0
        # One that waits: the application's own gives up when Redis is slow.
        self._redis = redis_client.connect(app.extensions["settings"].redis_url, timeout=60)

    def workers(self, count: int, **settings: Any) -> list[Process | WarmProcess]:
        return [self._start(WORKER_MAIL, **self.settings | settings) for _ in range(count)]

    def clock(self, **settings: Any) -> Process | WarmProcess:
        return self._start(CLOCK, **self.settings | settings)

    def use_lanes(self, count: int) -> None:
        """Have so many relay lanes, from here on and in the processes that are started."""
        self.settings = {"relay_lanes": count}
        configure(self.app, relay_lanes=count)
        with self.app.app_context():
            lanes.ensure()

    def accept(self, count: int, tenant: str = "acme", text: str = "On its way.", *, wake: bool = True) -> list[str]:
        """Take `count` messages, each for a recipient of its own. Returns the recipients.

        Not `wake`: no worker is told of them, as if Redis were away.
        """
        recipients = [f"c{self._given + number}@customer.example" for number in range(count)]
        self._given += count
        with self.app.app_context():
            owner, _ = tenants.upsert(tenant, name=tenant.title(), plan="enterprise")
            line = self.app.extensions["portal_redis"]
            line.quiet_until = 0.0 if wake else math.inf  # as if Redis had just been away
            for recipient in recipients:
                outbox.accept(owner, kind="order_update", to=recipient, subject="Your order", text=text)
            line.quiet_until = 0.0
        return recipients

    def states(self) -> Counter[str]:
        with self.app.app_context():
            query = select(Message.state, func.count()).where(Message.kind == "order_update").group_by(Message.state)
            return Counter(dict(db.session.execute(query).all()))

    def wait_until_settled(self, timeout: float = 300) -> None:
        """Until no message waits or is on its way."""

        def settled() -> bool:
            states = self.states()
            return not any(states[state] for state in (*WAITING, "sending"))

        try:
            eventually(settled, "all mail is settled", timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.states()}") from None

    def kill(self, *victims: Process | WarmProcess) -> int:
        """kill -9, and as if the leases of the dead had run out. Returns how many lanes they held."""
        for victim in victims:
            victim.kill()
        return self.end_leases()

    def end_leases(self) -> int:
        """As if minutes had passed: who holds a lane now has held it for too long, and no wake is under way."""
        with self.app.app_context(), transaction() as session:
            wakes = self._redis
            for key in wakes.scan_iter("absender:wake:*"):
                wakes.delete(key)
            dead = update(Lane).where(Lane.leased_until > now()).values(leased_until=now(-1))
            return int(session.execute(dead).rowcount)

    def leases(self) -> int:
        """How many lanes are held by somebody, alive or not."""
        with self.app.app_context():
            return db.session.scalar(select(func.count()).where(Lane.leased_until > now())) or 0

    def end_dead_leases(self) -> None:
        """Once no worker is at work: what is still leased then belongs to a drain that broke off."""

        reports = "absender:places:mail"
        for key in self._redis.scan_iter(f"{reports}*"):  # older than this moment
            self._redis.delete(key)

        def idle() -> bool:
            said = [self._redis.hget(f"{reports}:{name.decode()}", "places") for name in self._redis.smembers(reports)]
            workers = self._redis.scard("rq:workers:mail")
            return not self._redis.llen("rq:queue:mail") and said == [b"0"] * workers

        eventually(idle, "the workers have nothing to do")
        self.end_leases()

    def lost(self) -> int:
        """Messages that were accepted by us and never by the server, and no person is told that this may be so."""
        told = self.unconfirmed()
        with self.app.app_context():
            addresses = set(db.session.scalars(select(Message.to_address).where(Message.kind == "order_update")))
        return len(addresses - set(self.server.copies()) - told)

    def unconfirmed(self) -> set[str]:
        """Whose fate is unknown twice, as the log says, too."""
        with self.app.app_context():
            query = select(Message.to_address).where(Message.state == "unconfirmed", Message.ambiguous == 2)
            found = set(db.session.scalars(query))
        assert found == set(self.events("unconfirmed")) <= set(self.events("ambiguous"))
        return found

    def events(self, event: str) -> Counter[str]:
        """How often the log says so, by recipient."""
        with self.app.app_context():
            query = select(Message.to_address).join(LogEntry).where(LogEntry.event == event)
            return Counter(db.session.scalars(query))

    def claims(self) -> list[int]:
        """How often each message was claimed."""
        with self.app.app_context():
            return list(db.session.scalars(select(Message.attempt).where(Message.kind == "order_update")))

    def duplicates(self) -> list[str]:
        """Recipients of more than one copy. Asserts that each extra one is flagged and equal to the first."""
        copies, flagged = self.server.copies(), self.events("ambiguous")
        twice = [recipient for recipient, number in copies.items() if number > 1]
        for recipient in twice:
            mails = [mail for mail in self.server.kept if mail.rcpt_to == recipient]
            assert len({mail.content for mail in mails}) == 1, "every copy has the same bytes"
            assert len({mail.message_id for mail in mails}) == 1 and mails[0].message_id
            assert flagged[recipient] >= 1, "a second copy is flagged"
            assert len(mails) == 2, "there is never a third"
        return twice


def pass_time(route: str) -> None:
    """As if so much time had passed that nothing on the route waits any longer; within an application context."""
    with transaction() as session:
        waiting = update(Message).where(Message.route == route, Message.state.in_(WAITING), Message.due_at > now())
        session.execute(waiting.values(due_at=now()).execution_options(synchronize_session=False))
        session.execute(update(Lane).where(Lane.route == route, Lane.not_before > now()).values(not_before=now()))


def merchant(name: str) -> tuple[Tenant, User]:
    tenant, _ = tenants.upsert(name, name=name.title(), plan="enterprise")
    return tenant, launches.accept(launches.make_token(name)).user


def give_driver(
    name: str, port: int, *, host: str = HOST, encryption: str = "starttls", preset: str = "other"
) -> Driver:
    """Store an account as a passed test would have left it. Within an application context."""
    tenant, user = merchant(name)
    values: dict[str, object] = {
        "preset": preset, "host": host, "port": port, "encryption": encryption, "username": f"shop@{name}.example",
        "secret": encrypt(PASSWORD), "from_address": f"shop@{name}.example", "from_name": name.title(),
    }  # fmt: skip
    with transaction():
        return lifecycle.put(tenants.lock(tenant), user, 0, values)


def allow(app: Flask, ca_file: object, ports: list[int], resolver: Any = None) -> None:
    """What an operator sets who lets merchants use servers on a private network; HOST is this machine."""
    configure(app, smtp_ca_file=ca_file)
    resolver = resolver or MemoryResolver({HOST: ["127.0.0.1"]})
    app.extensions["settings"].destination_policy = Policy(["127.0.0.0/8"], ports, resolver)
