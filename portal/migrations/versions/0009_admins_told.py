"""whether the admins were told that their driver is stopped"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('driver', sa.Column('told_at', sa.DateTime(timezone=True), nullable=True))
    # Until now they were told in the transaction that stopped it.
    op.execute("UPDATE driver SET told_at = paused_at WHERE state = 'broken'")


def downgrade() -> None:
    op.drop_column('driver', 'told_at')
