"""How often one may launch, ask for verification mail and send tests: counted together, more strictly without Redis."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from flask import Flask
from redis import Redis
from sqlalchemy import select
from werkzeug.test import TestResponse

from portal.config import SettingsError, load_settings
from portal.extensions import db
from portal.models import User
from portal.services.accounts import launches
from tests.conftest import SECRETS, made_app
from tests.support.person import Person
from tests.support.valkey import Valkey

PARENT = "https://dashboard.example"
DRIVER = {
    "preset": "other", "host": "smtp.acme.example", "port": 587, "encryption": "starttls", "username": "u",
    "secret": "typed", "from_address": "shop@acme.example", "from_name": "Acme", "version": 0,
}  # fmt: skip

Make = Callable[..., Flask]


@pytest.fixture
def make(options: dict[str, Any]) -> Iterator[Make]:
    """An application with other limits: one process of several."""
    with ExitStack() as stack:
        yield lambda **rates: stack.enter_context(made_app(**options | rates))


def arrive(app: Flask, tenant: str = "acme", **claims: Any) -> Person:
    return Person(app, tenant, {"tenant_name": tenant.title(), "plan": "enterprise"} | claims)


def launch(app: Flask, address: str = "192.0.2.1", **claims: Any) -> TestResponse:
    with app.app_context():
        token = launches.make_token("acme", parent=PARENT, **claims)
    return app.test_client().post("/launch", data={"token": token}, environ_base={"REMOTE_ADDR": address})


def verify(person: Person, **how: Any) -> TestResponse:
    return person.post("/settings/email/verification", {"address": "nobody", "display_name": "x"}, **how)


def send_test(person: Person) -> TestResponse:
    return person.post("/settings/email/service/test", DRIVER | {"host": ""})


@pytest.mark.parametrize(
    ("address", "same", "another"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.2"),
        ("192.0.2.1", "192.0.2.1:5678", "192.0.2.2:5678"),
        ("192.0.2.1", "[::ffff:192.0.2.1]:5678", "[::ffff:192.0.2.3]"),
        ("2001:db8::1", "[2001:db8::1]:443", "[2001:db8:0:1::1]:443"),
        ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:1::1"),
        ("2001:DB8::1%eth0", "[2001:db8::2]", "192.0.2.1"),
    ],
)
def test_an_address_counts_as_one_however_it_is_written(make: Make, address: str, same: str, another: str) -> None:
    app = make(launch_rate="2/hour", trusted_proxies=1)

    def arrives(forwarded: str) -> int:
        headers = {"X-Forwarded-For": forwarded}
        return app.test_client().post("/launch", data={"token": "x"}, headers=headers).status_code

    assert [arrives(address), arrives(same)] == [401, 401]
    assert arrives(address) == arrives(same) == 429
    assert arrives(another) == 401


def test_nobody_uses_up_the_limit_of_an_address_that_is_not_theirs(make: Make) -> None:
    """What a client writes into X-Forwarded-For stands before what the trusted proxy adds, and counts for nothing."""
    app = make(launch_rate="2/hour", trusted_proxies=1)

    def arrives(*forwarded: str, by: str = "10.0.0.1") -> int:
        headers = {"X-Forwarded-For": ", ".join(forwarded)} if forwarded else {}
        client = app.test_client()
        return client.post(
            "/launch", data={"token": "x"}, headers=headers, environ_base={"REMOTE_ADDR": by}
        ).status_code

    victim, attacker = "192.0.2.1", "203.0.113.9"
    assert [arrives(victim, attacker) for _ in range(4)] == [401, 401, 429, 429]
    assert arrives(victim) == 401
    without = make(launch_rate="2/hour")
    answers = [
        without.test_client().post(
            "/launch", data={"token": "x"}, headers={"X-Forwarded-For": "192.0.2.77"},
            environ_base={"REMOTE_ADDR": "203.0.113.10"},
        ).status_code
        for _ in range(3)
    ]  # fmt: skip
    assert answers == [401, 401, 429], "without a trusted proxy the header counts for nothing at all"


@pytest.mark.parametrize("life", [None, 10**9])
def test_nobody_is_locked_out_for_ever_by_what_stands_in_redis(make: Make, life: int | None) -> None:
    app = make(launch_rate="2/hour")
    assert launch(app).status_code == 200
    with Redis.from_url(app.extensions["settings"].redis_url) as redis:
        (key,) = redis.keys("absender:limit*")
        redis.set(key, 10**6, ex=life)
        assert [launch(app).status_code for _ in range(3)] == [200, 200, 429]
        redis.set(key, "x")
        assert launch(app).status_code == 200, "counted by the process alone, and no defect"


ACTIONS = [(verify, "verification_rate"), (send_test, "test_send_rate")]


@pytest.mark.parametrize(("act", "rate"), ACTIONS)
def test_beyond_the_limit_a_page_says_when_to_come_again(
    make: Make, act: Callable[..., TestResponse], rate: str
) -> None:
    app = make(**{rate: "3/hour"})
    person, other = arrive(app), arrive(app, "rival")
    assert [act(person).status_code for _ in range(3)] == [422] * 3
    refused = act(person)
    assert refused.status_code == 429 and 1 <= int(refused.headers["Retry-After"]) <= 3600
    assert "Too many attempts" in refused.text and "Please try once more in " in refused.text
    assert act(other).status_code == 422, "another tenant has a count of its own"


def test_one_thing_is_switched_so_often_an_hour_and_whoever_could_pause_can_resume(app: Flask) -> None:
    person, other = arrive(app), arrive(app, "rival")
    service = "/settings/email/service"
    for _ in range(20):
        assert person.post(f"{service}/pause").status_code == person.post(f"{service}/resume").status_code == 303
    refused = person.post(f"{service}/pause")
    assert refused.status_code == 429 and 1 <= int(refused.headers["Retry-After"]) <= 3600
    assert "Nothing was changed. Please try once more in " in refused.text
    assert person.post(f"{service}/use").status_code == other.post(f"{service}/pause").status_code == 303


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/settings/email/service/held-mail", {"held_mail": "default"}),
        ("/settings/email/service/remove", {}),
        ("/settings/email/default", {}),
        ("/settings/people/{0}/role", {"role": "admin"}),
        ("/settings/people/{0}/sign-out", {}),
    ],
)
def test_each_of_the_other_switches_has_its_count_per_thing(app: Flask, path: str, data: dict[str, str]) -> None:
    person = arrive(app)
    arrive(app, sub="jo", email="jo@acme.example")
    with app.app_context():
        mine, jos = db.session.scalars(select(User.id).order_by(User.id))
    about = path.format(jos)
    assert {person.post(about, data).status_code for _ in range(20)} == {303}
    assert person.post(about, data).status_code == 429
    if about != path:
        assert person.post(path.format(mine), data).status_code == 303


def test_downloads_of_a_shop_are_limited(app: Flask) -> None:
    person, other = arrive(app), arrive(app, "rival")
    assert {person.get("/settings/email/logs.csv").status_code for _ in range(30)} == {200}
    assert person.get("/settings/email/logs.csv").status_code == 429
    # By the pages' buttons, whatever was asked for by GET: another site can do that.
    assert {person.post("/settings/activity.csv").status_code for _ in range(30)} == {200}
    assert person.post("/settings/email/logs.csv").status_code == 429
    assert other.get("/settings/email/logs.csv").status_code == 200


def test_a_fragment_is_told_in_a_banner_and_in_the_readers_language(make: Make) -> None:
    person = arrive(make(verification_rate="1/hour"), locale="de")
    data = {"address": "nobody", "display_name": "x"}
    assert person.as_htmx("POST", "/settings/email/verification", data=data).status_code == 422
    refused = person.as_htmx("POST", "/settings/email/verification", data=data)
    assert refused.status_code == 429 and refused.headers["HX-Retarget"] == "#notices"
    assert "Zu viele Versuche" in refused.text and "noch einmal" in refused.text and "<html" not in refused.text


def test_launches_are_counted_by_address_the_refused_ones_too(make: Make) -> None:
    app = make(launch_rate="3/hour")
    assert launch(app).status_code == 200
    junk = app.test_client().post("/launch", data={"token": "x"}, environ_base={"REMOTE_ADDR": "192.0.2.1"})
    assert junk.status_code == 401
    assert launch(app).status_code == 200
    refused = launch(app)
    assert refused.status_code == 429 and int(refused.headers["Retry-After"]) >= 1
    assert "Please try once more" in refused.text
    assert f"frame-ancestors {PARENT}" in refused.headers["Content-Security-Policy"], "the frame can show why"
    assert "Set-Cookie" not in refused.headers
    assert launch(app, "192.0.2.2").status_code == 200


def test_a_launch_beyond_the_limit_is_not_burnt(make: Make) -> None:
    app = make(launch_rate="1/hour")
    with app.app_context():
        token = launches.make_token("acme")
    assert launch(app).status_code == 200
    assert launch(app).status_code == 429
    for address, expected in (("192.0.2.1", 429), ("198.51.100.7", 200)):
        answer = app.test_client().post("/launch", data={"token": token}, environ_base={"REMOTE_ADDR": address})
        assert answer.status_code == expected


def test_the_addresses_of_one_household_count_together(make: Make) -> None:
    app = make(launch_rate="2/hour")
    assert [launch(app, f"2001:db8:0:1::{n}").status_code for n in range(3)] == [200, 200, 429]
    assert launch(app, "2001:db8:0:2::1").status_code == 200


def test_processes_share_a_limit_and_count_alone_and_more_strictly_without_redis(make: Make, valkey: Valkey) -> None:
    one, other = make(launch_rate="8/hour"), make(launch_rate="8/hour")
    assert [launch(app).status_code for app in (one, other) * 4] == [200] * 8
    assert launch(one).status_code == launch(other).status_code == 429
    with valkey.away():
        fresh = make(launch_rate="8/hour")
        assert [launch(fresh).status_code for _ in range(3)] == [200, 200, 429]


def test_the_limits_on_the_mails_themselves_say_when_too(app: Flask) -> None:
    form = {"address": "hello@acme.example", "display_name": "Acme"}
    assert arrive(app, "rival").post("/settings/email/verification", form).status_code == 303
    refused = arrive(app).post("/settings/email/verification", form)
    assert refused.status_code == 429 and 1 <= int(refused.headers["Retry-After"]) <= 60


@pytest.mark.parametrize("name", ["launch_rate", "verification_rate", "sign_in_rate", "test_send_rate"])
@pytest.mark.parametrize("value", ["often", "0/minute", "5", "5/minute;6/hour"])
def test_a_rate_that_is_none_stops_the_start(tmp_path: Any, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"PORTAL_{name.upper()} can't be used"):
        load_settings(**{"instance_path": tmp_path, name: value} | SECRETS)
