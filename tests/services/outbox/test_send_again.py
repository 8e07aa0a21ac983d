"""A message once more, as a new one."""

import pytest

from portal.models import Tenant, User
from portal.services.errors import NotFound, NotResendable
from portal.services.outbox import send_again
from tests.support.steps import accept, drain


def test_what_has_ended_goes_again_once_for_each_page(tenant: Tenant, user: User) -> None:
    first = accept(tenant)
    with pytest.raises(NotResendable) as refused:
        send_again.send_again(tenant, user, first.public_id, "")
    assert refused.value.reason == "not_ended"
    drain()
    copy, made = send_again.send_again(tenant, user, first.public_id, "")
    assert made and send_again.send_again(tenant, user, first.public_id, "") == (copy, False)
    assert send_again.links(tenant, copy).original.id == first.id  # type: ignore[union-attr]
    with pytest.raises(NotFound):
        send_again.look(tenant, "msg_of_nobody")
