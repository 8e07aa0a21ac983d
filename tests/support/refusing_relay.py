"""A relay that refuses mail to some recipients, and what tests about that have in common."""

from sqlalchemy import select

from portal.extensions import db
from portal.models import Lane, Message, Tenant
from portal.models.route import Route
from tests.support.hostile_server import HostileServer, Talk
from tests.support.steps import accept, again

RATE = '451 4.7.1 Ratelimit "user" exceeded'


class RefusingRelay(HostileServer):
    """It answers RCPT for each recipient that begins with a key of `refusals` by its value, and accepts all else."""

    def __init__(self) -> None:
        super().__init__(self._say)
        self.refusals: dict[str, str] = {}
        self.asked: list[str] = []

    def _say(self, talk: Talk, point: str) -> str | None:
        if point != "RCPT":
            return None
        self.asked.append(talk.rcpt_to.partition("@")[0])
        return next((reply for start, reply in self.refusals.items() if talk.rcpt_to.startswith(start)), None)


def mails(tenant: Tenant, start: str, count: int, route: Route | None = None) -> list[Message]:
    more = {"route": route} if route else {}
    return [accept(tenant, f"{start}{number}@customer.example", **more) for number in range(count)]


def states(messages: list[Message]) -> list[str]:
    return [again(message).state for message in messages]


def failures(route: str = "relay") -> set[int]:
    db.session.rollback()
    return set(db.session.scalars(select(Lane.failures).where(Lane.route == route)))
