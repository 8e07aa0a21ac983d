"""What the drains of one process share: memory for large mail."""

import pytest
from flask import Flask

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Lane, Message, Tenant, now
from portal.services.delivery import drain as delivery
from portal.services.delivery.place import NoRoom, Octets, Place, Pot, Shared
from portal.services.outbox import accept as outbox
from portal.services.outbox.accept import Draft
from portal.transport.mime.addresses import Mailbox
from portal.transport.mime.attachments import Attachment
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import accept, again, lane_id, make_due

MB = 1024 * 1024


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
