"""The database's time as the clock processes have followed it, so that a jump is no passing of time.

Revision ID: 0021
Revises: 0020
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0021'
down_revision = '0020'
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade() -> None:
    op.create_table(
        'time_watch',
        sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('seen_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('boot', sa.String(length=36), nullable=False),
        sa.Column('uptime', sa.Float(), nullable=False),
        sa.Column('jump', sa.Float(), nullable=True),
        sa.Column('jumped_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('moved_to', _BIG, nullable=True),
        sa.Column('move_until', _BIG, nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_time_watch')),
    )


def downgrade() -> None:
    op.drop_table('time_watch')
