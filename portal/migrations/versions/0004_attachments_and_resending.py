"""attachments and resending"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('message', sa.Column('resent_of', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True))
    op.create_index('ix_message_resent_of', 'message', ['resent_of'], unique=False, sqlite_where=sa.text('resent_of IS NOT NULL'), postgresql_where=sa.text('resent_of IS NOT NULL'))
    op.add_column('message_body', sa.Column('attachments', sa.Integer(), nullable=False, server_default='0'))
    op.create_table('message_attachment',
    sa.Column('message_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('filename', sa.String(length=255), nullable=False),
    sa.Column('content_type', sa.String(length=255), nullable=False),
    sa.Column('content', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['message_id'], ['message.id'], name=op.f('fk_message_attachment_message_id_message'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('message_id', 'position', name=op.f('pk_message_attachment'))
    )


def downgrade() -> None:
    op.drop_table('message_attachment')
    op.drop_index('ix_message_resent_of', 'message')
    op.drop_column('message_body', 'attachments')
    op.drop_column('message', 'resent_of')
