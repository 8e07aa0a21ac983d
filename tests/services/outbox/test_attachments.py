"""A message's files."""

from portal.models import Tenant
from portal.services.outbox import attachments
from portal.transport.mime.attachments import Attachment
from tests.support.steps import accept


def test_files_come_back_in_their_order(tenant: Tenant) -> None:
    files = [Attachment("b.txt", "text/plain", b"one"), Attachment("a.txt", "text/plain", b"two")]
    assert attachments.load(accept(tenant, attachments=files).id) == tuple(files)
    assert attachments.load(accept(tenant).id) == ()
