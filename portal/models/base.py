"""The declarative base, and time as the database keeps it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, BindParameter, DateTime, Dialect, Float, Integer, MetaData, Text, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

# SQLite gives rowids to INTEGER PRIMARY KEY only.
BigId = BigInteger().with_variant(Integer(), "sqlite")
MAX_ID = 2**31 - 1  # what comes in an address may be larger, and then the databases refuse to look for it


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime; `timestamptz` on PostgreSQL, sortable text on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime has no place in the database")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class EncryptedText(TypeDecorator[str]):
    """Text that portal.encryption has encrypted; the type is how `flask secrets rotate` finds it."""

    impl = Text
    cache_ok = True


class _Clock(FunctionElement[datetime]):
    """The database's clock plus `seconds`: one clock for all, whatever the machines' clocks say."""

    type = UTCDateTime()

    def __init__(self, seconds: float | BindParameter[float] = 0) -> None:
        super().__init__(seconds if isinstance(seconds, BindParameter) else literal(float(seconds), Float))


class now(_Clock):
    """For leases: on PostgreSQL it goes on while a statement waits for a lock."""

    inherit_cache = True


class statement_time(_Clock):
    """For look-ups: stands still during a statement, so that an index can be used for what is due."""

    inherit_cache = True


@compiles(now, "postgresql")
def _postgresql_now(element: now, compiler: Any, **options: Any) -> str:
    return f"(clock_timestamp() + make_interval(secs => {compiler.process(element.clauses, **options)}))"


@compiles(statement_time, "postgresql")
def _postgresql_statement_time(element: statement_time, compiler: Any, **options: Any) -> str:
    return f"(statement_timestamp() + make_interval(secs => {compiler.process(element.clauses, **options)}))"


@compiles(now, "sqlite")
@compiles(statement_time, "sqlite")
def _sqlite_clock(element: _Clock, compiler: Any, **options: Any) -> str:
    # The same text that UTCDateTime stores (six digits of fraction), so that comparing text compares time.
    seconds = compiler.process(element.clauses, **options)
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', {seconds} || ' seconds') || '000')"


class shifted(FunctionElement[datetime]):
    """A column's time and `seconds` more; none where it has none."""

    type = UTCDateTime()
    inherit_cache = True

    def __init__(self, column: Any, seconds: float) -> None:
        super().__init__(column, literal(float(seconds), Float))


@compiles(shifted, "postgresql")
def _postgresql_shifted(element: shifted, compiler: Any, **options: Any) -> str:
    column, seconds = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({column} + make_interval(secs => {seconds}))"


@compiles(shifted, "sqlite")
def _sqlite_shifted(element: shifted, compiler: Any, **options: Any) -> str:
    column, seconds = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(strftime('%Y-%m-%d %H:%M:%f', {column}, {seconds} || ' seconds') || '000')"


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map = {datetime: UTCDateTime()}


_clock: Callable[[], datetime] | None = None


def keep_time_by(clock: Callable[[], datetime] | None) -> None:
    """Have `utcnow` ask this clock; None: this machine's."""
    global _clock  # a process has one database, and a column's default can't be handed anything
    _clock = clock


def utcnow() -> datetime:
    """The database's time, told by this process (portal.db.clock): another's may be compared with it.

    Leases and due times are compared within a statement, by `now` and `statement_time`: the same clock.
    """
    return datetime.now(UTC) if _clock is None else _clock()
