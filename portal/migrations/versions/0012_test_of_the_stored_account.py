"""which version of the driver a test tried once more"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Of tests from before nobody knows; the page looks at none that is older than half an hour.
    op.add_column('driver_test', sa.Column('driver_version', sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column('driver_test', 'driver_version')
