"""first tables"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('api_key',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_api_key')),
    sa.UniqueConstraint('digest', name=op.f('uq_api_key_digest'))
    )
    op.create_table('burnt_token',
    sa.Column('jti', sa.String(length=200), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('jti', name=op.f('pk_burnt_token'))
    )
    with op.batch_alter_table('burnt_token') as batch_op:
        batch_op.create_index(batch_op.f('ix_burnt_token_expires_at'), ['expires_at'], unique=False)

    op.create_table('lane',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('route', sa.String(length=30), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('lease_token', sa.String(length=32), nullable=True),
    sa.Column('leased_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('not_before', sa.DateTime(timezone=True), nullable=True),
    sa.Column('reason', sa.String(length=40), nullable=True),
    sa.Column('failures', sa.Integer(), nullable=False),
    sa.Column('turn', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_lane')),
    sa.UniqueConstraint('route', 'number', name=op.f('uq_lane_route'))
    )
    op.create_table('tenant',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('external_id', sa.String(length=100), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('plan', sa.String(length=50), nullable=False),
    sa.Column('locale', sa.String(length=10), nullable=False),
    sa.Column('timezone', sa.String(length=64), nullable=False),
    sa.Column('frame_ancestors', sa.JSON(), nullable=False),
    sa.Column('sender_mode', sa.String(length=10), nullable=False),
    sa.Column('identity_id', sa.Integer(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_tenant')),
    sa.UniqueConstraint('external_id', name=op.f('uq_tenant_external_id'))
    )
    op.create_table('message',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('public_id', sa.String(length=30), nullable=False),
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('kind', sa.String(length=30), nullable=False),
    sa.Column('to_address', sa.String(length=320), nullable=False),
    sa.Column('subject', sa.String(length=1000), nullable=False),
    sa.Column('message_id', sa.String(length=200), nullable=False),
    sa.Column('data', sa.JSON(), nullable=True),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('reason', sa.String(length=40), nullable=True),
    sa.Column('sender', sa.String(length=600), nullable=True),
    sa.Column('accepted_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('route', sa.String(length=30), nullable=False),
    sa.Column('lane_id', sa.Integer(), nullable=True),
    sa.Column('attempt', sa.Integer(), nullable=False),
    sa.Column('retries', sa.Integer(), nullable=False),
    sa.Column('ambiguous', sa.Integer(), nullable=False),
    sa.Column('dot_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('dot', sa.JSON(), nullable=True),
    sa.ForeignKeyConstraint(['lane_id'], ['lane.id'], name=op.f('fk_message_lane_id_lane'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_message_tenant_id_tenant'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_message')),
    sa.UniqueConstraint('public_id', name=op.f('uq_message_public_id'))
    )
    with op.batch_alter_table('message') as batch_op:
        batch_op.create_index('ix_message_due', ['route', 'due_at'], unique=False, sqlite_where=sa.text("state IN ('queued', 'deferred')"), postgresql_where=sa.text("state IN ('queued', 'deferred')"))
        batch_op.create_index('ix_message_expires', ['expires_at'], unique=False, sqlite_where=sa.text("state IN ('queued', 'deferred')"), postgresql_where=sa.text("state IN ('queued', 'deferred')"))
        batch_op.create_index('ix_message_lane', ['lane_id'], unique=False, sqlite_where=sa.text('lane_id IS NOT NULL'), postgresql_where=sa.text('lane_id IS NOT NULL'))
        batch_op.create_index('ix_message_log', ['tenant_id', 'id'], unique=False)
        batch_op.create_index('ix_message_log_kind', ['tenant_id', 'kind', 'id'], unique=False)
        batch_op.create_index('ix_message_log_state', ['tenant_id', 'state', 'id'], unique=False)
        batch_op.create_index('ix_message_log_time', ['tenant_id', 'accepted_at', 'id'], unique=False)
        batch_op.create_index('ix_message_waiting', ['route', 'tenant_id', 'due_at', 'id'], unique=False, sqlite_where=sa.text("state IN ('queued', 'deferred')"), postgresql_where=sa.text("state IN ('queued', 'deferred')"))

    op.create_table('sender_identity',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('address', sa.String(length=320), nullable=False),
    sa.Column('address_key', sa.String(length=320), nullable=False),
    sa.Column('display_name', sa.String(length=200), nullable=False),
    sa.Column('state', sa.String(length=10), nullable=False),
    sa.Column('nonce', sa.String(length=64), nullable=False),
    sa.Column('nonce_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('verified_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_sender_identity_tenant_id_tenant'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sender_identity')),
    sa.UniqueConstraint('tenant_id', 'address_key', name=op.f('uq_sender_identity_tenant_id'))
    )
    with op.batch_alter_table('sender_identity') as batch_op:
        batch_op.create_index('uq_sender_identity_pending', ['tenant_id'], unique=True, sqlite_where=sa.text("state = 'pending'"), postgresql_where=sa.text("state = 'pending'"))

    with op.batch_alter_table('tenant') as batch_op:
        batch_op.create_foreign_key(op.f('fk_tenant_identity_id_sender_identity'), 'sender_identity', ['identity_id'], ['id'], ondelete='SET NULL')

    op.create_table('user',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('tenant_id', sa.Integer(), nullable=True),
    sa.Column('subject', sa.String(length=200), nullable=False),
    sa.Column('email', sa.String(length=320), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('role', sa.String(length=10), nullable=False),
    sa.Column('locale', sa.String(length=10), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_user_tenant_id_tenant'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_user')),
    sa.UniqueConstraint('tenant_id', 'subject', name=op.f('uq_user_tenant_id'))
    )
    op.create_table('verification_mail',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('address_key', sa.String(length=320), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_verification_mail_tenant_id_tenant'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_verification_mail'))
    )
    with op.batch_alter_table('verification_mail') as batch_op:
        batch_op.create_index('ix_verification_mail_address', ['address_key', 'at'], unique=False)
        batch_op.create_index('ix_verification_mail_tenant', ['tenant_id', 'at'], unique=False)

    op.create_table('idempotency_key',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('api_key_id', sa.Integer(), nullable=False),
    sa.Column('key', sa.String(length=255), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('message_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['api_key_id'], ['api_key.id'], name=op.f('fk_idempotency_key_api_key_id_api_key'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['message_id'], ['message.id'], name=op.f('fk_idempotency_key_message_id_message'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_idempotency_key')),
    sa.UniqueConstraint('api_key_id', 'key', name=op.f('uq_idempotency_key_api_key_id'))
    )
    with op.batch_alter_table('idempotency_key') as batch_op:
        batch_op.create_index(batch_op.f('ix_idempotency_key_created_at'), ['created_at'], unique=False)

    op.create_table('log_entry',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('message_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('event', sa.String(length=20), nullable=False),
    sa.Column('reason', sa.String(length=40), nullable=True),
    sa.Column('code', sa.Integer(), nullable=True),
    sa.Column('text', sa.Text(), nullable=True),
    sa.Column('sender', sa.String(length=600), nullable=True),
    sa.Column('until', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['message_id'], ['message.id'], name=op.f('fk_log_entry_message_id_message'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_log_entry_tenant_id_tenant'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_log_entry'))
    )
    with op.batch_alter_table('log_entry') as batch_op:
        batch_op.create_index('ix_log_entry_message', ['message_id', 'id'], unique=False)
        batch_op.create_index('ix_log_entry_tenant', ['tenant_id', 'id'], unique=False)

    op.create_table('message_body',
    sa.Column('message_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('text', sa.Text(), nullable=True),
    sa.Column('html', sa.Text(), nullable=True),
    sa.Column('reply_to', sa.String(length=320), nullable=True),
    sa.ForeignKeyConstraint(['message_id'], ['message.id'], name=op.f('fk_message_body_message_id_message'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('message_id', name=op.f('pk_message_body'))
    )
    op.create_index('ix_message_recipient', 'message', ['tenant_id', sa.text('lower(to_address)'), 'id'])


def downgrade() -> None:
    with op.batch_alter_table('tenant') as batch_op:
        batch_op.drop_constraint(op.f('fk_tenant_identity_id_sender_identity'))
    for table in (
        'message_body', 'log_entry', 'idempotency_key', 'verification_mail', 'user', 'sender_identity', 'message', 'tenant',
        'lane', 'burnt_token', 'api_key',
    ):
        op.drop_table(table)
