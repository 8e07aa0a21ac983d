"""what an API key may do, for which tenants, and until when"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None

# Keys made before may do everything, as until now.
_ALL = '["send", "read", "manage"]'


def upgrade() -> None:
    op.add_column('api_key', sa.Column('scopes', sa.JSON(), nullable=False, server_default=_ALL))
    op.add_column('api_key', sa.Column('tenants', sa.JSON(), nullable=True))
    op.add_column('api_key', sa.Column('ends_at', sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table('api_key') as batch:
        batch.drop_column('ends_at')
        batch.drop_column('tenants')
        batch.drop_column('scopes')
