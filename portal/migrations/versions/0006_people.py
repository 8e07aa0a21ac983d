"""the audit trail, sign-in links, sessions that can be revoked"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None

_REFUSE = 'the audit trail is append-only'
APPEND_ONLY = {
    'sqlite': [
        f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit BEGIN SELECT RAISE(ABORT, '{_REFUSE}'); END"
        for verb in ('UPDATE', 'DELETE')
    ],
    'postgresql': [
        f"CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_REFUSE}'; END $$",
        'CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit '
        'FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()',
    ],
}


def upgrade() -> None:
    op.create_table(
        'audit',
        sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
        sa.Column('tenant_id', sa.Integer(), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('user_id', sa.Integer(), nullable=True),
        sa.Column('who', sa.String(length=520), nullable=False),
        sa.Column('role', sa.String(length=10), nullable=False),
        sa.Column('action', sa.String(length=40), nullable=False),
        sa.Column('subject', sa.String(length=320), nullable=False),
        sa.Column('before', sa.JSON(), nullable=False),
        sa.Column('after', sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_audit_tenant_id_tenant')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_audit')),
    )
    op.create_index('ix_audit_tenant', 'audit', ['tenant_id', 'id'])
    for statement in APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)
    op.create_table(
        'sign_in_link',
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('address', sa.String(length=320), nullable=False),
        sa.Column('nonce', sa.String(length=64), nullable=False),
        sa.Column('locale', sa.String(length=10), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('considered_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('used_at', sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_sign_in_link')),
    )
    op.create_index(op.f('ix_sign_in_link_address'), 'sign_in_link', ['address'])
    op.create_index(op.f('ix_sign_in_link_created_at'), 'sign_in_link', ['created_at'])
    op.add_column('user', sa.Column('email_key', sa.String(length=320), nullable=False, server_default=''))
    op.add_column('user', sa.Column('session_version', sa.String(length=16), nullable=False, server_default=''))
    op.add_column('user', sa.Column('invited_at', sa.DateTime(timezone=True), nullable=True))
    op.execute('UPDATE "user" SET email_key = lower(email)')
    op.create_index(op.f('ix_user_email_key'), 'user', ['email_key'])


def downgrade() -> None:
    op.drop_index(op.f('ix_user_email_key'), 'user')
    with op.batch_alter_table('user') as batch:
        batch.drop_column('invited_at')
        batch.drop_column('session_version')
        batch.drop_column('email_key')
    op.drop_table('sign_in_link')
    op.drop_table('audit')
    if op.get_bind().dialect.name == 'postgresql':
        op.execute('DROP FUNCTION audit_is_append_only()')
