"""What a mail says of itself."""

import pytest

from portal.models import Tenant
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import accept, drain


@pytest.mark.parametrize(
    ("kind", "header"),
    [("order_update", "auto-generated"), ("vendor_notification", "auto-generated"), ("customer_message", None)],
)
def test_what_a_program_makes_says_so(tenant: Tenant, smtp: SMTPSink, kind: str, header: str | None) -> None:
    accept(tenant, kind=kind)
    drain()
    assert smtp.received[0].message["Auto-Submitted"] == header
