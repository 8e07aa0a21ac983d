"""Addresses and names that speak for the platform or for others are no merchant's."""

import pytest
from flask import Flask

from portal.services import sender_rules
from portal.transport.mime.addresses import InvalidAddress
from tests.support.settings import configure

pytestmark = pytest.mark.usefixtures("ctx")


def address_refused(address: str) -> str | None:
    try:
        sender_rules.check_address(address)
    except InvalidAddress as error:
        return error.reason
    return None


def name_refused(name: str) -> str | None:
    try:
        sender_rules.check_name(name)
    except InvalidAddress as error:
        return error.reason
    return None


@pytest.mark.parametrize(
    "name", ["Marketplace", "MARKETPLACE", "Marketplace Support", "Mаrketp1ace", "M a r k e t place"]
)
def test_the_platforms_own_name_is_refused(name: str) -> None:
    assert name_refused(name) == "name_protected"


def test_the_operators_list_is_refused_and_nothing_else(app: Flask) -> None:
    assert name_refused("PayPal Support") is None
    configure(app, protected_names="PayPal, Deutsche Bank")
    for name in ("PayPal", "PayPal Support", "РауРаl", "Deutsche  Bank AG", "Support (PayPal)"):
        assert name_refused(name) == "name_protected", name
    for name in ("Acme", "Bank am Deutschen Eck", "Yoga@Home", "Booking.com"):
        assert name_refused(name) is None, name


@pytest.mark.parametrize(
    "address",
    [
        "security@marketplace.example",
        "notifications@marketplace.example",
        "a@mail.marketplace.example",
        "a@MARKETPLACE.example",
        "a@portal.example",
        "a@x.portal.example",
        "a@müller.example",
        "a@shop.xn--mller-kva.example",
    ],
)
def test_the_platforms_own_domains_are_refused(app: Flask, address: str) -> None:
    configure(app, base_url="https://portal.example:8443", own_domains="müller.example, corp.example")
    assert address_refused(address) == "own_domain"


@pytest.mark.parametrize("base_url", ["http://localhost:8000", "https://192.0.2.7", "https://[2001:db8::1]:443"])
def test_other_domains_are_not(app: Flask, base_url: str) -> None:
    configure(app, base_url=base_url)
    for address in ("a@acme.example", "a@notmarketplace.example", "a@marketplace.example.acme.example"):
        assert address_refused(address) is None


def test_a_platform_at_a_free_mail_service_owns_its_address_alone(app: Flask) -> None:
    configure(app, default_sender="Marketplace <marketplace@gmail.com>")
    assert address_refused("Marketplace@gmail.com") == "own_domain"
    assert address_refused("acme@gmail.com") is None


@pytest.mark.parametrize("local", ['"john doe"', '"<john>"', '""'])
def test_what_needs_quotes_is_no_senders(local: str) -> None:
    assert address_refused(f"{local}@acme.example") == "not_an_address"


@pytest.mark.parametrize("local", ["ceo%bank.example", "bank.example!ceo", "a%b", "!a"])
def test_an_address_that_names_a_way_is_refused(local: str) -> None:
    assert address_refused(f"{local}@acme.example") == "source_route"
