"""A message once more, as a new one."""

from datetime import timedelta
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from portal.extensions import db
from portal.models import MailCount, Message, Tenant, User, utcnow
from portal.services.errors import NotResendable, SendLimit
from portal.services.outbox import send_again
from tests.support.at_once import at_once
from tests.support.steps import accept, drain, execute


def test_of_many_forms_at_once_one_makes_the_copy(app: Flask, tenant: Tenant, user: User) -> None:
    message, shop, person = accept(tenant).public_id, tenant.id, user.id
    drain()

    def press() -> bool:
        acting = db.session.get_one(Tenant, shop), db.session.get_one(User, person)
        return send_again.send_again(*acting, message, "")[1]

    assert sorted(at_once(*[press] * 8, app=app)) == [False] * 7 + [True]
    assert db.session.scalar(select(func.count()).where(Message.resent_of.is_not(None))) == 1


def ended(tenant: Tenant, to: str = "jane@customer.example") -> Message:
    message = accept(tenant, to)
    end(message)
    return message


def end(*messages: Message, state: str = "sent") -> None:
    execute(update(Message).where(Message.id.in_([message.id for message in messages])).values(state=state))


def again(tenant: Tenant, user: User, message: Message) -> Message:
    """A copy, asked for on a page that knows of those before; it ends at once."""
    _, newest = send_again.look(tenant, message.public_id)
    copy, made = send_again.send_again(tenant, user, message.public_id, newest.public_id if newest else "")
    assert made
    end(copy)
    return copy


@pytest.mark.parametrize("state", ["queued", "sending", "deferred", "held"])
def test_while_a_copy_is_on_its_way_there_is_no_second_one(tenant: Tenant, user: User, state: str) -> None:
    message = ended(tenant)
    copy = again(tenant, user, message)
    end(copy, state=state)
    for act in (
        lambda: send_again.look(tenant, message.public_id),
        lambda: send_again.send_again(tenant, user, message.public_id, copy.public_id),
    ):
        with pytest.raises(NotResendable) as refused:
            act()
        assert refused.value.reason == "copy_not_ended"
    assert not send_again.links(tenant, message).offered
    end(copy)
    assert send_again.links(tenant, message).offered


def test_a_message_has_three_copies_whichever_of_them_is_sent_again(tenant: Tenant, user: User) -> None:
    message = ended(tenant)
    second = again(tenant, user, again(tenant, user, message))
    again(tenant, user, second)
    execute(update(MailCount).values(mailbox="another@customer.example"))
    for one in (message, second):
        with pytest.raises(NotResendable) as refused:
            again(tenant, user, one)
        assert refused.value.reason == "often"
    links = send_again.links(tenant, second)
    assert links.original is message and not links.offered
    assert len(send_again.links(tenant, message).copies) == 3


def test_two_tabs_with_a_message_and_its_copy_make_one_more(app: Flask, tenant: Tenant, user: User) -> None:
    message = ended(tenant)
    copy, shop, person = again(tenant, user, message), tenant.id, user.id
    pages = [message.public_id, copy.public_id] * 4
    known = copy.public_id

    def press(shown: str) -> bool:
        acting = db.session.get_one(Tenant, shop), db.session.get_one(User, person)
        return send_again.send_again(*acting, shown, known)[1]

    db.session.remove()
    assert sorted(at_once(*[partial(press, shown) for shown in pages], app=app)) == [False] * 7 + [True]


def test_an_address_gets_three_copies_a_day_of_all_messages(tenant: Tenant, user: User) -> None:
    spellings = ("jane@customer.example", "Jane@Customer.example", "jane+1@customer.example", "jane+2@customer.example")
    messages = [ended(tenant, to) for to in spellings]
    for message in messages[:3]:
        again(tenant, user, message)
    with pytest.raises(SendLimit) as refused:
        again(tenant, user, messages[3])
    assert refused.value.next_at > utcnow() + timedelta(hours=23)
    again(tenant, user, ended(tenant, "john@customer.example"))


def test_a_shop_sends_thirty_again_in_an_hour(tenant: Tenant, user: User) -> None:
    for number in range(30):
        again(tenant, user, ended(tenant, f"jane{number}@customer.example"))
    with pytest.raises(SendLimit):
        again(tenant, user, ended(tenant))
