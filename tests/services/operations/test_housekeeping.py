"""What has served its purpose goes."""

from datetime import timedelta

from flask import Flask

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import BurntToken, MailCount, utcnow
from portal.services import limits
from portal.services.operations import housekeeping


def test_a_used_launch_token_goes_once_it_has_expired(ctx: Flask) -> None:
    with transaction() as session:
        session.add(BurntToken(jti="old", expires_at=utcnow() - timedelta(minutes=6)))
        session.add(BurntToken(jti="new", expires_at=utcnow()))
    assert housekeeping.clean_up() == 1 and housekeeping.clean_up() == 0
    assert db.session.get(BurntToken, "new")
    housekeeping.checkpoint()


def test_a_count_goes_once_no_limit_looks_back_that_far(ctx: Flask) -> None:
    longest = max(
        window for allowed in limits.ALLOWANCES.values() for _, window in (*allowed.to_mailbox, *allowed.by_tenant)
    )
    assert longest < limits.KEPT
    with transaction() as session:
        for age in (limits.KEPT + timedelta(minutes=1), longest):
            session.add(MailCount(mailbox="jo@shop.example", kind="invitation", at=utcnow() - age))
    assert housekeeping.clean_up() == 1 and housekeeping.clean_up() == 0
