"""An index of the messages' references, built while mail goes on.

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


def upgrade() -> None:
    where = sa.text('reference IS NOT NULL')
    create_index('ix_message_reference', 'message', ['tenant_id', 'reference', 'id'], where)


def downgrade() -> None:
    drop_index('ix_message_reference', 'message')
