"""A message once more, as a new one."""

from flask import Flask
from sqlalchemy import func, select

from portal.extensions import db
from portal.models import Message, Tenant, User
from portal.services.outbox import send_again
from tests.support.at_once import at_once
from tests.support.steps import accept, drain


def test_of_many_forms_at_once_one_makes_the_copy(app: Flask, tenant: Tenant, user: User) -> None:
    message, shop, person = accept(tenant).public_id, tenant.id, user.id
    drain()

    def press() -> bool:
        acting = db.session.get_one(Tenant, shop), db.session.get_one(User, person)
        return send_again.send_again(*acting, message, "")[1]

    assert sorted(at_once(*[press] * 8, app=app)) == [False] * 7 + [True]
    assert db.session.scalar(select(func.count()).where(Message.resent_of.is_not(None))) == 1
