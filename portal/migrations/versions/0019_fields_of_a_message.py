"""Fields that a message may have: a reference, metadata, its thread, and what its files are.

Revision ID: 0019
Revises: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0019'
down_revision = '0018'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('message', sa.Column('reference', sa.String(length=100), nullable=True))
    op.add_column('message', sa.Column('metadata', sa.JSON(), nullable=True))
    op.add_column('message', sa.Column('send_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('message_body', sa.Column('thread', sa.String(length=255), nullable=True))
    op.add_column('message_attachment', sa.Column('charset', sa.String(length=40), nullable=True))
    op.add_column('message_attachment', sa.Column('method', sa.String(length=20), nullable=True))
    op.add_column('message_attachment', sa.Column('content_id', sa.String(length=200), nullable=True))


def downgrade() -> None:
    for table, column in (
        ('message_attachment', 'content_id'), ('message_attachment', 'method'), ('message_attachment', 'charset'),
        ('message_body', 'thread'), ('message', 'send_at'), ('message', 'metadata'), ('message', 'reference'),
    ):
        with op.batch_alter_table(table) as batch:
            batch.drop_column(column)
