"""A route: the way that mail takes. Only this module knows how one is written down."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Dialect, String, cast, literal
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.types import TypeDecorator

_DRIVER = "driver"


class Route(str):
    """The relay, the interactive relay, one tenant's driver; or a driver's test, which no lane carries."""

    __slots__ = ()

    @classmethod
    def of_driver(cls, driver_id: int) -> Route:
        return cls(f"{_DRIVER}:{driver_id}")

    @property
    def driver_id(self) -> int | None:
        """The driver that carries it, if one does."""
        kind, _, number = self.partition(":")
        return int(number) if kind == _DRIVER else None

    @property
    def kind(self) -> str:
        """relay, interactive, driver or test: as bounded as a metric's label must be."""
        return self.partition(":")[0]


RELAY = Route("relay")
INTERACTIVE = Route("interactive")
TEST = Route("test")  # no lane's: a driver's test mail, until the driver that it was sent through exists


class RouteColumn(TypeDecorator[Route]):
    """A route as the tables keep it."""

    impl = String(30)
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> Route | None:
        return None if value is None else Route(value)


def is_drivers(column: InstrumentedAttribute[Route]) -> ColumnElement[bool]:
    """Whether the route in a column is some driver's."""
    return column.startswith(f"{_DRIVER}:")


def of_driver(driver_id: InstrumentedAttribute[int]) -> ColumnElement[str]:
    """The route of the driver whose id stands in a column."""
    return literal(f"{_DRIVER}:").concat(cast(driver_id, String))
