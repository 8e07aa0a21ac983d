"""addresses that were taken back from a tenant"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0014'
down_revision = '0013'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('revocation',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('address', sa.String(length=320), nullable=False),
    sa.Column('mailbox', sa.String(length=320), nullable=False),
    sa.Column('by', sa.String(length=10), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_revocation_tenant_id_tenant'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_revocation'))
    )
    with op.batch_alter_table('revocation') as batch:
        batch.create_index(batch.f('ix_revocation_at'), ['at'], unique=False)
        batch.create_index('ix_revocation_tenant', ['tenant_id', 'mailbox'], unique=False)


def downgrade() -> None:
    with op.batch_alter_table('revocation') as batch:
        batch.drop_index('ix_revocation_tenant')
        batch.drop_index(batch.f('ix_revocation_at'))

    op.drop_table('revocation')
