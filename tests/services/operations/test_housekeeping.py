"""What has served its purpose goes."""

from datetime import timedelta

from flask import Flask
from sqlalchemy import select

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import BurntToken, EndedSession, MailCount, Removal, utcnow
from portal.services import limits
from portal.services.operations import housekeeping


def test_a_used_launch_token_goes_once_it_has_expired(ctx: Flask) -> None:
    with transaction() as session:
        session.add(BurntToken(jti="old", expires_at=utcnow() - timedelta(minutes=6)))
        session.add(BurntToken(jti="new", expires_at=utcnow()))
    assert housekeeping.clean_up() == 1 and housekeeping.clean_up() == 0
    assert db.session.get(BurntToken, "new")
    housekeeping.checkpoint()


def test_removals_and_ended_sessions_go_once_nothing_could_be_good_any_more(ctx: Flask) -> None:
    with transaction() as session:
        for name, age in (("old", 6), ("new", 4)):
            session.add(Removal(subject=name, at=utcnow() - timedelta(minutes=age)))
        session.add(EndedSession(id="old", ends_at=utcnow() - timedelta(seconds=1)))
        session.add(EndedSession(id="new", ends_at=utcnow() + timedelta(minutes=1)))
    assert housekeeping.clean_up() == 2
    assert db.session.scalars(select(Removal.subject)).all() == ["new"]
    assert db.session.scalars(select(EndedSession.id)).all() == ["new"]


def test_a_count_goes_once_no_limit_looks_back_that_far(ctx: Flask) -> None:
    longest = max(
        window for allowed in limits.ALLOWANCES.values() for _, window in (*allowed.to_mailbox, *allowed.by_tenant)
    )
    assert longest < limits.KEPT
    with transaction() as session:
        for age in (limits.KEPT + timedelta(minutes=1), longest):
            session.add(MailCount(mailbox="jo@shop.example", kind="invitation", at=utcnow() - age))
    assert housekeeping.clean_up() == 1 and housekeeping.clean_up() == 0
