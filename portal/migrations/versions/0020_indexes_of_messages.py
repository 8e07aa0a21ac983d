"""What the new columns of messages are looked up by, built while mail goes on.

Revision ID: 0020
Revises: 0019
"""

from __future__ import annotations

import sqlalchemy as sa

from portal.migrations.online import create_index, drop_index

revision = '0020'
down_revision = '0019'
branch_labels = None
depends_on = None

_HELD = "state = 'held'"
_NEW = {
    'ix_message_reference': (['tenant_id', 'reference', 'id'], 'reference IS NOT NULL'),
    'ix_message_over_limit': (['tenant_id', 'state', 'reason', 'id'], f"{_HELD} AND reason = 'plan_daily_limit'"),
    'ix_message_suspect': (
        ['route', 'releases', 'due_at', 'id'], "state IN ('queued', 'deferred') AND releases > 0"
    ),
    'ix_message_set_aside': (['id'], f"{_HELD} AND reason = 'set_aside'"),
}


def upgrade() -> None:
    for name, (columns, where) in _NEW.items():
        create_index(name, 'message', columns, sa.text(where))
    drop_index('ix_message_held', 'message')
    create_index('ix_message_held', 'message', ['route', 'reason'], sa.text(_HELD))


def downgrade() -> None:
    drop_index('ix_message_held', 'message')
    create_index('ix_message_held', 'message', ['route'], sa.text(_HELD))
    for name in _NEW:
        drop_index(name, 'message')
