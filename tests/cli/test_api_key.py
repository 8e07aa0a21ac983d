"""`flask api-key`: made once, listed without the key, revoked for good."""

from datetime import timedelta

import pytest
import time_machine
from flask import Flask

from portal.extensions import db
from portal.models import utcnow
from portal.services.accounts import api_keys


def run(app: Flask, *words: str) -> tuple[int, str]:
    db.session.rollback()
    result = app.test_cli_runner().invoke(args=["api-key", *words])
    return result.exit_code, result.output


def rows(app: Flask) -> list[list[str]]:
    return [line.split() for line in run(app, "list")[1].splitlines()[1:] if line]


def test_a_key_may_do_everything_unless_it_is_limited(app: Flask, ctx: Flask) -> None:
    _, told = run(app, "create", "--name", "backend")
    key = api_keys.authenticate(told.split()[-1])
    assert key is not None and key.tenants is None and api_keys.everything()[-1].ends_at is None
    today = str(utcnow().date())
    assert rows(app) == [["1", "active", today, "manage,read,send", "all", "-", "backend"]]


def test_scopes_tenants_and_an_end_are_kept_and_listed_without_the_key(app: Flask, ctx: Flask) -> None:
    limits = ("--scope", "send", "--scope", "read", "--tenant", "b", "--tenant", "a", "--until", "2099-01-31")
    code, told = run(app, "create", "--name", "erp of acme", *limits)
    assert code == 0
    today = str(utcnow().date())
    assert rows(app) == [["1", "active", today, "read,send", "a,b", "2099-01-31T00:00:00", "erp", "of", "acme"]]
    key = api_keys.authenticate(told.split()[-1])
    listed = run(app, "list")[1]
    assert key is not None and told.split()[-1] not in listed
    assert api_keys.everything()[-1].digest not in listed


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        (("--until", "2020-01-01"), 1),
        (("--until", "soon"), 2),
        (("--tenant", "@platform"), 1),
        (("--tenant", ""), 1),
        (("--scope", "all"), 2),
    ],
)
def test_a_limit_that_cannot_be_used_makes_no_key(app: Flask, ctx: Flask, limit: tuple[str, ...], code: int) -> None:
    ended, told = run(app, "create", "--name", "backend", *limit)
    assert ended == code and limit[0] in told
    assert run(app, "list") == (0, "There are no API keys.\n\n")


def test_an_ended_key_is_listed_as_such(app: Flask, ctx: Flask) -> None:
    api_keys.create("backend", until=utcnow() + timedelta(hours=1))
    assert rows(app)[0][1] == "active"
    with time_machine.travel(utcnow() + timedelta(hours=1), tick=False):
        assert rows(app)[0][1] == "ended"


def test_revoking_holds_at_once_and_again_changes_nothing(app: Flask, ctx: Flask) -> None:
    old, new = api_keys.create("backend"), api_keys.create("backend")
    assert run(app, "revoke", "1") == (0, "Revoked API key 1 (backend): refused from the next request on.\n")
    assert api_keys.authenticate(old) is None and api_keys.authenticate(new) is not None
    first, second = rows(app)
    assert (first[1], second[1]) == ("revoked", "active")
    with time_machine.travel(utcnow() + timedelta(days=1), tick=False):
        assert run(app, "revoke", "1") == (0, f"API key 1 (backend) has been revoked since {first[5]}.\n")
    assert rows(app) == [first, second]


def test_revoking_what_is_not_there_says_so(app: Flask, ctx: Flask) -> None:
    assert run(app, "revoke", "7") == (1, "Error: There is no API key 7.\n")
    assert run(app, "revoke", str(2**31))[0] == run(app, "revoke", "backend")[0] == 2
