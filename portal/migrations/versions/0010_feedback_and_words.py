"""what comes back after a message was sent, beside its state; a refused driver is called stopped"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('message', sa.Column('feedback', sa.String(length=12), nullable=True))
    op.execute("UPDATE driver SET state = 'stopped' WHERE state = 'broken'")


def downgrade() -> None:
    op.execute("UPDATE driver SET state = 'broken' WHERE state = 'stopped'")
    op.drop_column('message', 'feedback')
