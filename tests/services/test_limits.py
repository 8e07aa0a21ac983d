"""What counts as one mailbox."""

import pytest

from portal.services import limits

pytestmark = pytest.mark.any_database


@pytest.mark.parametrize(
    ("address", "mailbox"),
    [
        ("hello@shop.example", "hello@shop.example"),
        ("hello+orders@shop.example", "hello@shop.example"),
        ("+orders@shop.example", "+orders@shop.example"),
        ("an.na+1@googlemail.com", "anna@gmail.com"),
        ("an.na@shop.example", "an.na@shop.example"),
        ("Hello@SHOP.example", "hello@shop.example"),
        ("hello@ｓｈｏｐ.example", "hello@shop.example"),
        ("hello@shop。example", "hello@shop.example"),
        ("ｈello@shop.example", "hello@shop.example"),
        ("hello@Bücher.example", "hello@xn--bcher-kva.example"),
        ("hello@XN--BCHER-KVA.example", "hello@xn--bcher-kva.example"),
        ("hello@straße.example", "hello@xn--strae-oqa.example"),
        ("nonsense", "@nonsense"),
    ],
)
def test_an_inbox_has_one_name_for_the_limits(address: str, mailbox: str) -> None:
    assert limits.mailbox_of(address) == mailbox
