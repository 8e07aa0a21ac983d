"""indexes for the operator's view"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def _index(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, 'message', columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def upgrade() -> None:
    op.drop_index('ix_message_route_finished', 'message')
    _index('ix_message_route_finished', ['route', 'finished_at', 'state'], 'finished_at IS NOT NULL')
    _index('ix_message_deferred', ['route'], "state = 'deferred'")
    _index('ix_message_held', ['route'], "state = 'held'")


def downgrade() -> None:
    op.drop_index('ix_message_held', 'message')
    op.drop_index('ix_message_deferred', 'message')
    op.drop_index('ix_message_route_finished', 'message')
    _index('ix_message_route_finished', ['route', 'finished_at'], 'finished_at IS NOT NULL')
