"""The log as a file."""

import pytest

from portal.models import Tenant
from portal.services.accounts import tenants
from portal.services.outbox import log_export
from portal.services.outbox.message_log import LogFilter
from tests.support.steps import accept


def test_batches_follow_one_another_without_gap_or_repetition(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_export, "BATCH", 2)
    mine = [accept(tenant).public_id for _ in range(5)]
    accept(tenants.upsert("other", name="Other")[0])
    batches = [[message.public_id for message in batch] for batch in log_export.messages(tenant, LogFilter())]
    assert batches == [mine[:2:-1], mine[2:0:-1], mine[:1]]
