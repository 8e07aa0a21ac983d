"""a recipient's name, a message's language"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('message_body', sa.Column('to_name', sa.String(length=100), nullable=True))
    op.add_column('message_body', sa.Column('locale', sa.String(length=35), nullable=True))


def downgrade() -> None:
    op.drop_column('message_body', 'locale')
    op.drop_column('message_body', 'to_name')
