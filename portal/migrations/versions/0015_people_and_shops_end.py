"""people are one for each address and can be removed, sessions ended, shops suspended"""

from __future__ import annotations

from itertools import groupby

import sqlalchemy as sa
from alembic import op

revision = '0015'
down_revision = '0014'
branch_labels = None
depends_on = None

_STAFF = sa.text('tenant_id IS NULL')


def upgrade() -> None:
    op.create_table(
        'ended_session',
        sa.Column('id', sa.String(length=32), nullable=False),
        sa.Column('ends_at', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_ended_session')),
    )
    op.create_index(op.f('ix_ended_session_ends_at'), 'ended_session', ['ends_at'])
    op.create_table(
        'removal',
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('tenant_id', sa.Integer(), nullable=True),
        sa.Column('subject', sa.String(length=200), nullable=False),
        sa.Column('address', sa.String(length=320), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ['tenant_id'], ['tenant.id'], name=op.f('fk_removal_tenant_id_tenant'), ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_removal')),
    )
    op.create_index(op.f('ix_removal_at'), 'removal', ['at'])
    op.add_column('tenant', sa.Column('state', sa.String(length=10), server_default='active', nullable=False))
    op.add_column('user', sa.Column('launched_at', sa.DateTime(timezone=True), nullable=True))
    # When the last launch was nobody knows: at the latest when they were seen.
    op.execute("""UPDATE "user" SET launched_at = seen_at WHERE subject NOT LIKE 'invited:%'""")
    _merge()
    op.create_index('uq_user_address', 'user', ['tenant_id', 'email_key'], unique=True)
    op.create_index(
        'uq_user_staff_address', 'user', ['email_key'], unique=True, sqlite_where=_STAFF, postgresql_where=_STAFF
    )


def _merge() -> None:
    """Of several rows of one address the one seen last stays, with its role; one that only waits is the last choice."""
    user = sa.table('user', *map(sa.column, ('id', 'tenant_id', 'email_key', 'invited_at', 'seen_at')))
    test = sa.table('driver_test', sa.column('user_id'))
    connection = op.get_bind()
    place = (user.c.tenant_id, user.c.email_key)
    double = sa.select(*place).group_by(*place).having(sa.func.count() > 1).subquery()
    same = double.c.tenant_id.is_not_distinct_from(user.c.tenant_id) & (double.c.email_key == user.c.email_key)
    order = (*place, user.c.invited_at.is_not(None), user.c.seen_at.desc(), user.c.id.desc())
    rows = connection.execute(sa.select(user.c.id, *place).join(double, same).order_by(*order)).all()
    for _, people in groupby(rows, lambda row: (row.tenant_id, row.email_key)):
        kept, *others = [row.id for row in people]
        # Tests of a settings page, which the shop's people share.
        connection.execute(sa.update(test).where(test.c.user_id.in_(others)).values(user_id=kept))
        connection.execute(sa.delete(user).where(user.c.id.in_(others)))


def downgrade() -> None:
    op.drop_index('uq_user_staff_address', 'user')
    op.drop_index('uq_user_address', 'user')
    op.drop_column('user', 'launched_at')
    op.drop_column('tenant', 'state')
    op.drop_index(op.f('ix_removal_at'), 'removal')
    op.drop_table('removal')
    op.drop_index(op.f('ix_ended_session_ends_at'), 'ended_session')
    op.drop_table('ended_session')
