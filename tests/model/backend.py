"""Whoever hands mail in: some at once, the rest one by one, and takes some of it back."""

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from sqlalchemy import select

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Message, Tenant
from portal.models.route import INTERACTIVE
from portal.services.errors import NotCancellable
from portal.services.outbox import accept as outbox
from portal.transport.mime.addresses import Mailbox

if TYPE_CHECKING:
    from tests.model.world import World

_END_MS = 200  # in which a drain that has sent everything comes to its end


def recipient(number: int) -> str:
    return f"m{number}@customer.example"


class Backend:
    def __init__(self, world: "World") -> None:
        self.world = world
        self._given = 0
        plan, random = world.plan, world.random
        first = 1 if plan.clock_is_away else max(1, plan.messages // 2)
        latest = min(plan.turbulent_ms, plan.spread_ms)
        times = sorted(random.randrange(latest) for _ in range(plan.messages - first))
        self._due = [(0, first), *((at, 1) for at in times)]  # ms, how many

    def next_at(self) -> int | None:
        """When it hands in next; None: it has handed in all."""
        return self._due[0][0] if self._due else None

    def hurry(self) -> None:
        """Without a clock it matters most what is handed in while a drain is at its end."""
        world = self.world
        if self._due and self._due[0][0] > world.time.ms + _END_MS and world.promises.all_sent():
            self._due[0] = (world.time.ms + world.random.randrange(_END_MS), 1)

    def request(self) -> tuple[str, Callable[[], None]]:
        """The next request: its name, and what it does."""
        world, random, plan = self.world, self.world.random, self.world.plan
        _, count = self._due.pop(0)
        recipients = [recipient(self._given + number) for number in range(count)]
        self._given += count
        tenant_ids = [random.choice(world.laboratory.tenants[: plan.tenants]) for _ in recipients]
        route = INTERACTIVE if random.random() < plan.interactive else None
        takes_back = random.random() < plan.cancels

        def work() -> None:
            with transaction() as session:
                given = [(session.get_one(Tenant, one), to) for one, to in zip(tenant_ids, recipients, strict=True)]
                drafts = [
                    outbox.Draft(tenant, "order_update", Mailbox("", to), "Your order", "On its way.", route=route)
                    for tenant, to in given
                ]
                outbox.write(drafts)
            if takes_back:
                world.pause(random.choice((0, 0.2, 3)))
                self._take_back(recipients[0])

        return f"web {recipients[0]}", work

    def _take_back(self, to: str) -> None:
        public_id = cast(str, db.session.scalar(select(Message.public_id).where(Message.to_address == to)))
        try:
            outbox.cancel(public_id)
        except NotCancellable:
            self.world.say(f"{to} can't be taken back any more")
