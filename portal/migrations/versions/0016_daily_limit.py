"""a plan's daily limit, and waiting mail that follows its sender in batches"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0016'
down_revision = '0015'
branch_labels = None
depends_on = None

MOVING = sa.text('moving_since IS NOT NULL')


def upgrade() -> None:
    op.create_table('tenant_usage',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('mails', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_tenant_usage_tenant_id_tenant'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('tenant_id', name=op.f('pk_tenant_usage'))
    )
    op.add_column('tenant', sa.Column('moving_since', sa.DateTime(timezone=True), nullable=True))
    op.add_column('tenant', sa.Column('moved_to', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), server_default='0', nullable=False))
    op.create_index('ix_tenant_moving', 'tenant', ['moving_since'], sqlite_where=MOVING, postgresql_where=MOVING)
    op.add_column('message', sa.Column('counted_on', sa.Date(), nullable=True))


def downgrade() -> None:
    op.drop_column('message', 'counted_on')
    op.drop_index('ix_tenant_moving', 'tenant')
    op.drop_column('tenant', 'moved_to')
    op.drop_column('tenant', 'moving_since')
    op.drop_table('tenant_usage')
