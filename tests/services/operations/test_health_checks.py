"""What needs a person now."""

from sqlalchemy import update

from portal.extensions import db
from portal.models import Message, Tenant, now
from portal.services.operations import delivery_status, health_checks
from tests.support.steps import accept


def test_late_mail_and_missing_processes_are_sentences(tenant: Tenant) -> None:
    accept(tenant)
    db.session.execute(update(Message).values(due_at=now(-2 * health_checks.OLDEST_DUE)))
    late, clock, *workers = health_checks.sentences(delivery_status.read())
    assert late.startswith("Due mail on relay has waited for") and clock.startswith("No clock has ticked")
    assert len(workers) == 2


def test_a_lost_database_is_all_there_is_to_say(tenant: Tenant) -> None:
    (sentence,) = health_checks.sentences(None)
    assert sentence.startswith("The database does not answer")
