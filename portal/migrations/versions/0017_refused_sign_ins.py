"""how often passwords were refused; nothing empties or replaces the audit trail"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0017'
down_revision = '0016'
branch_labels = None
depends_on = None

_REFUSE = 'the audit trail is append-only'
# SQLite's INSERT OR REPLACE deletes without any DELETE trigger, and PostgreSQL's TRUNCATE is no DELETE.
APPEND_ONLY = {
    'sqlite': [
        'CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id) '
        f"BEGIN SELECT RAISE(ABORT, '{_REFUSE}'); END"
    ],
    'postgresql': [
        'CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit '
        'FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()'
    ],
}
TRIGGERS = {'sqlite': 'audit_no_replace', 'postgresql': 'audit_no_truncate ON audit'}


def upgrade() -> None:
    op.create_table(
        'refused_sign_in',
        sa.Column('key', sa.String(length=64), nullable=False),
        sa.Column('refusals', sa.Integer(), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('next_at', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('key', name=op.f('pk_refused_sign_in')),
    )
    op.create_index(op.f('ix_refused_sign_in_at'), 'refused_sign_in', ['at'])
    for statement in APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    op.execute(f'DROP TRIGGER {TRIGGERS[op.get_bind().dialect.name]}')
    op.drop_table('refused_sign_in')
