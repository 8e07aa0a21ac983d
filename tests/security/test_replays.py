"""One launch token, presented a hundred times at once."""

from collections import Counter

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.extensions import db
from portal.models import BurntToken, User
from portal.services.accounts import launches
from portal.web import session as sessions
from tests.support.at_once import at_once
from tests.support.figures import Figure

TIMES = 100


@pytest.mark.security("100 parallel replays of one launch token")
def test_of_a_hundred_replays_at_once_one_comes_in(app: Flask, figure: Figure) -> None:
    with app.app_context():
        token = launches.make_token("acme", tenant_name="Acme Shop")

    def present() -> tuple[int, bool]:
        answer = app.test_client().post("/launch", data={"token": token})
        return answer.status_code, sessions.COOKIE in str(answer.headers)

    answers = Counter(at_once(*[present] * TIMES))
    with app.app_context():
        burnt = db.session.scalar(select(func.count()).select_from(BurntToken))
        people = db.session.scalar(select(func.count()).select_from(User))
    figure(f"{TIMES} at once: {answers[200, True]} session, {answers[401, False]} refused")
    assert answers == {(200, True): 1, (401, False): TIMES - 1}
    assert (burnt, people) == (1, 1)
