"""what people cause to be mailed, counted by mailbox; how long a sign-in link is good"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None

# A link that is out already is good for as long as its mail says.
EXPIRES = {
    'sqlite': "strftime('%Y-%m-%d %H:%M:%f', created_at, '+15 minutes') || '000'",
    'postgresql': "created_at + interval '15 minutes'",
}


def upgrade() -> None:
    op.create_table(
        'mail_count',
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('mailbox', sa.String(length=600), nullable=False),
        sa.Column('kind', sa.String(length=30), nullable=False),
        sa.Column('tenant_id', sa.Integer(), nullable=True),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ['tenant_id'], ['tenant.id'], name=op.f('fk_mail_count_tenant_id_tenant'), ondelete='SET NULL'
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_mail_count')),
    )
    op.create_index('ix_mail_count_mailbox', 'mail_count', ['mailbox', 'kind', 'at'])
    op.create_index('ix_mail_count_tenant', 'mail_count', ['tenant_id', 'kind', 'at'])
    # What was asked for lately still counts.
    op.execute(
        'INSERT INTO mail_count (mailbox, kind, tenant_id, at) '
        "SELECT address_key, 'verification', tenant_id, at FROM verification_mail"
    )
    op.drop_table('verification_mail')
    op.add_column('sign_in_link', sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True))
    op.execute(f'UPDATE sign_in_link SET expires_at = {EXPIRES[op.get_bind().dialect.name]}')
    with op.batch_alter_table('sign_in_link') as batch:
        batch.alter_column('expires_at', existing_type=sa.DateTime(timezone=True), nullable=False)


def downgrade() -> None:
    with op.batch_alter_table('sign_in_link') as batch:
        batch.drop_column('expires_at')
    op.create_table(
        'verification_mail',
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('tenant_id', sa.Integer(), nullable=False),
        sa.Column('address_key', sa.String(length=320), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ['tenant_id'], ['tenant.id'], name=op.f('fk_verification_mail_tenant_id_tenant'), ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_verification_mail')),
    )
    op.create_index('ix_verification_mail_address', 'verification_mail', ['address_key', 'at'])
    op.create_index('ix_verification_mail_tenant', 'verification_mail', ['tenant_id', 'at'])
    op.execute(
        'INSERT INTO verification_mail (tenant_id, address_key, at) '
        "SELECT tenant_id, mailbox, at FROM mail_count WHERE kind = 'verification' AND tenant_id IS NOT NULL"
    )
    op.drop_table('mail_count')
