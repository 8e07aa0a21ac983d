"""Mailboxes that anybody can open."""

import pytest

from portal.mailauth.free_mail import is_free_mail

pytestmark = pytest.mark.any_database


def test_free_mail_is_known_by_its_domain() -> None:
    assert is_free_mail("shop@GMX.de") and is_free_mail("shop@gmail.com") and is_free_mail("gmail.com")
    assert not is_free_mail("gmail.com@acme.example")
