"""Indexes on tables with millions of rows: built and dropped while the product goes on reading and writing.

PostgreSQL does that outside of a transaction (sql-createindex, CONCURRENTLY), so that such an index is all that its
migration does: if it breaks off, the migration can simply run again.
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op
from sqlalchemy import TextClause


def create_index(name: str, table: str, columns: Sequence[str | TextClause], where: TextClause | None = None) -> None:
    if op.get_context().dialect.name == "sqlite":
        op.create_index(name, table, columns, sqlite_where=where)
        return
    with op.get_context().autocommit_block():
        op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)  # what a broken attempt left
        op.create_index(name, table, columns, postgresql_where=where, postgresql_concurrently=True)


def drop_index(name: str, table: str) -> None:
    if op.get_context().dialect.name == "sqlite":
        op.drop_index(name, table)
        return
    with op.get_context().autocommit_block():
        op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
