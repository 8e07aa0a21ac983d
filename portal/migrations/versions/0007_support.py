"""what support looks up over all tenants; staff are one row a subject"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The recipient first: the same index answers a tenant's search and the one over all of them.
    op.drop_index('ix_message_recipient', 'message')
    op.create_index('ix_message_recipient', 'message', [sa.text('lower(to_address)'), 'tenant_id', 'id'])
    op.create_index('ix_sender_identity_address_key', 'sender_identity', ['address_key'])
    look, staff = sa.text("action = 'support_viewed'"), sa.text('tenant_id IS NULL')
    columns = ['tenant_id', 'user_id', 'subject', 'at']
    op.create_index('ix_audit_look', 'audit', columns, sqlite_where=look, postgresql_where=look)
    op.create_index('uq_user_staff', 'user', ['subject'], unique=True, sqlite_where=staff, postgresql_where=staff)


def downgrade() -> None:
    op.drop_index('uq_user_staff', 'user')
    op.drop_index('ix_audit_look', 'audit')
    op.drop_index('ix_sender_identity_address_key', 'sender_identity')
    op.drop_index('ix_message_recipient', 'message')
    op.create_index('ix_message_recipient', 'message', ['tenant_id', sa.text('lower(to_address)'), 'id'])
