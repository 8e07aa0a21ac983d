"""messages set aside, and refusals that may concern a route"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0018'
down_revision = '0017'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('message', sa.Column('releases', sa.SmallInteger(), nullable=False, server_default='0'))
    op.create_table('refusal',
    sa.Column('route', sa.String(length=30), nullable=False),
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('message_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('since', sa.DateTime(timezone=True), nullable=False),
    sa.Column('in_a_row', sa.Integer(), nullable=False),
    sa.Column('not_before', sa.DateTime(timezone=True), nullable=True),
    sa.Column('reason', sa.String(length=40), nullable=False),
    sa.ForeignKeyConstraint(['message_id'], ['message.id'], name=op.f('fk_refusal_message_id_message'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_refusal_tenant_id_tenant'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('route', 'tenant_id', name=op.f('pk_refusal'))
    )
    op.create_index('ix_refusal_message_id', 'refusal', ['message_id'])


def downgrade() -> None:
    op.drop_table('refusal')
    op.drop_column('message', 'releases')
