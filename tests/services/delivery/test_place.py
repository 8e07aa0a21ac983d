"""A drain's place: it may lose it before the final dot and never after; and what drains of one process share."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from flask import Flask

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Lane, Message, Tenant, now
from portal.models.route import Route
from portal.services.delivery import drain as delivery
from portal.services.delivery.place import NoRoom, Octets, Place, Pot, Shared
from portal.services.outbox import accept as outbox
from portal.services.outbox.accept import Draft
from portal.services.routing import lanes as routing_lanes
from portal.transport.mime.addresses import Mailbox
from portal.transport.mime.attachments import Attachment
from tests.support.hostile_server import HOLD, HostileServer
from tests.support.settings import configure
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import accept, again, lane_id, make_due

MB = 1024 * 1024


@contextmanager
def drained_at(app: Flask, point: str) -> Iterator[tuple[HostileServer, Place]]:
    """A drain whose server is silent at this point; it has ended when the block ends."""
    place = Place()
    with HostileServer(lambda talk, at: HOLD if at == point else None) as server, ThreadPoolExecutor(1) as threads:
        configure(app, relay=server.url)
        lane = lane_id("relay")
        db.session.rollback()

        def drain() -> None:
            with app.app_context():
                delivery.drain(lane, place=place)

        at_work = threads.submit(drain)
        server.wait_until(lambda server: server.held, f"the drain waits at {point}")
        yield server, place
        at_work.result(60)


@pytest.mark.parametrize("point", ["connect", "EHLO", "MAIL", "RCPT", "DATA"])
def test_who_loses_the_place_before_the_dot_has_handed_over_nothing_and_the_route_waits(
    app: Flask, ctx: Flask, tenant: Tenant, point: str
) -> None:
    first, second = accept(tenant), accept(tenant)
    with drained_at(app, point) as (server, place):
        assert place.cut()
    assert [again(message).state for message in (first, second)] == ["deferred", "queued"]
    assert again(first).retries == again(first).releases == again(first).ambiguous == 0
    assert place.was_cut and place.found is False and server.kept == []
    assert routing_lanes.waits([Route("relay")])["relay"].reason == "service_unavailable"


def test_who_waits_for_the_reply_to_a_whole_mail_keeps_the_place(app: Flask, ctx: Flask, tenant: Tenant) -> None:
    message = accept(tenant)
    with drained_at(app, "reply") as (server, place):
        assert not place.cut()
        server.release()
    assert again(message).state == "sent" and not place.was_cut


def test_large_mail_of_one_kind_keeps_back_its_own_kind_only() -> None:
    octets = Octets()
    with octets.held(Pot.DOUBTFUL, 20 * MB), octets.held(Pot.PLATFORM, 20 * MB), octets.held(Pot.QUICK, 20 * MB):
        with pytest.raises(NoRoom), octets.held(Pot.DOUBTFUL, 13 * MB):
            pass
        with octets.held(Pot.DOUBTFUL, 12 * MB), octets.held(Pot.DOUBTFUL, 1000):
            pass
    with octets.held(Pot.DOUBTFUL, 32 * MB):
        pass


def test_the_only_large_mail_always_has_room() -> None:
    octets = Octets()
    with octets.held(Pot.PLATFORM, 100 * MB), pytest.raises(NoRoom), octets.held(Pot.PLATFORM, MB):
        pass
    with octets.held(Pot.PLATFORM, MB):
        pass


def test_octets_are_given_back_whatever_happens() -> None:
    octets = Octets()
    with pytest.raises(ZeroDivisionError), octets.held(Pot.QUICK, 32 * MB):
        raise ZeroDivisionError
    with octets.held(Pot.QUICK, 32 * MB):
        pass


def with_a_file(tenant: Tenant, size: int) -> Message:
    file = Attachment("photo.bin", "application/octet-stream", b"x" * size)
    draft = Draft(
        tenant, "order_update", Mailbox("", "jane@customer.example"), "Your order", "Hello", attachments=(file,)
    )
    with transaction():
        return outbox.write([draft])[0]


def test_mail_for_which_there_is_no_room_waits_a_moment_and_is_sent(ctx: Flask, tenant: Tenant, smtp: SMTPSink) -> None:
    shared = Shared()
    small, large = accept(tenant), with_a_file(tenant, MB)
    with shared.octets.held(Pot.PLATFORM, 32 * MB):
        assert delivery.drain(lane_id("relay"), place=Place(shared)) == 1
        assert (again(small).state, again(large).state) == ("sent", "queued")
        assert again(large).retries == again(large).releases == 0
        waits = db.session.get_one(Lane, lane_id("relay"), populate_existing=True).not_before
        assert waits is not None and db.session.scalar(db.select(now(3))) > waits
    make_due()
    assert delivery.drain(lane_id("relay"), place=Place(shared)) == 1
    assert again(large).state == "sent" and len(smtp.received) == 2
