"""idempotency keys are found by their message, which takes them along when it is deleted"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_idempotency_key_message_id", "idempotency_key", ["message_id"])


def downgrade() -> None:
    op.drop_index("ix_idempotency_key_message_id", "idempotency_key")
