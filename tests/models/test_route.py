"""A route is written and read in one place."""

import pytest
from flask import Flask
from sqlalchemy import select

from portal.extensions import db
from portal.models import Lane
from portal.models.route import INTERACTIVE, RELAY, TEST, Route, is_drivers


def test_a_drivers_route_names_its_driver() -> None:
    assert Route.of_driver(17).driver_id == 17
    assert Route.of_driver(17).kind == "driver"


@pytest.mark.parametrize("route", [RELAY, INTERACTIVE, TEST])
def test_no_other_route_belongs_to_a_driver(route: Route) -> None:
    assert route.driver_id is None
    assert route.kind == route


def test_a_route_comes_back_from_the_database_as_one(app: Flask) -> None:
    with app.app_context():
        db.session.add_all([Lane(route=Route.of_driver(4)), Lane(route=INTERACTIVE, number=9)])
        db.session.commit()
        (route,) = db.session.scalars(select(Lane.route).where(is_drivers(Lane.route)))
        assert route.driver_id == 4
