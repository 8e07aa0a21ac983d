"""A driver's settings as typed: trimmed, and refused at their field."""

import time
from dataclasses import replace

import pytest
from flask import Flask

from portal.models import Tenant, User
from portal.services.drivers import save_gate
from portal.services.drivers.settings import DriverSettings, host_and_port
from portal.services.errors import InvalidFields
from tests.support.driver_steps import saved
from tests.support.mail_service import MailService
from tests.support.settings import configure


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"host": ""}, "host", "empty"),
        ({"host": "https://smtp.acme.example"}, "host", "not_a_host"),
        ({"host": "smtp.acme.example/mail"}, "host", "not_a_host"),
        ({"port": 70000}, "port", "not_a_mail_port"),
        ({"port": 22}, "port", "not_a_mail_port"),
        ({"port": 465}, "encryption", "contradicts_port"),
        ({"port": 587, "encryption": "tls"}, "encryption", "contradicts_port"),
        ({"preset": "microsoft365", "port": 465, "encryption": "tls"}, "port", "not_offered"),
        ({"username": " "}, "username", "empty"),
        ({"secret": ""}, "secret", "empty"),
        ({"secret": "x" * 10_000}, "secret", "too_long"),
        ({"from_address": "nobody"}, "from_address", "not_an_address"),
        ({"from_address": "ceo@marketplace.example"}, "from_address", "own_domain"),
        ({"from_address": "ceo%bank.example@acme.example"}, "from_address", "source_route"),
        ({"from_name": "Marketplace Support"}, "from_name", "name_protected"),
        ({"from_name": "ceo @ bank.example"}, "from_name", "name_looks_like_address"),
        ({"from_name": "\u2800"}, "from_name", "name_control_characters"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field_before_anything_is_sent(
    tenant: Tenant, user: User, wanted: DriverSettings, service: MailService, fields: dict[str, object], field: str,
    reason: str,
) -> None:  # fmt: skip
    with pytest.raises(InvalidFields) as refused:
        save_gate.start(tenant, user, replace(wanted, **fields))
    assert refused.value.errors == [(field, reason)]
    assert save_gate.latest(tenant) is None and service.sign_ins == 0


def test_pasted_values_lose_their_spaces(tenant: Tenant, user: User, wanted: DriverSettings) -> None:
    pasted = replace(
        wanted, preset="gmail", host="  127.0.0.1 ", username=" shop@acme.example ", secret="abcd efgh ijkl mnop"
    )
    clean = pasted.cleaned(tenant)
    assert (clean.host, clean.username, clean.secret) == ("127.0.0.1", "shop@acme.example", "abcdefghijklmnop")


@pytest.mark.parametrize(
    ("preset", "pasted", "kept"),
    [
        ("gmail", "abcd\u00a0efgh\u00a0ijkl\u00a0mnop\n", "abcdefghijklmnop"),
        ("yahoo", " abcdefgh ijklmnop", "abcdefghijklmnop"),
        ("icloud", "abcd-efgh-ijkl-mnop ", "abcd-efgh-ijkl-mnop"),
        ("microsoft365", "abcd efgh ijkl mnop", "abcdefghijklmnop"),
        ("microsoft365", " correct Horse battery 4 staple\t", "correct Horse battery 4 staple"),
        ("microsoft365", "purple cats dancing", "purple cats dancing"),
        ("zoho", "aB3d eF6h iJ9l", "aB3deF6hiJ9l"),
        ("zoho", "my shop's mail", "my shop's mail"),
        ("other", " two words ", "two words"),
    ],
)
def test_only_an_app_password_loses_the_spaces_within_it(
    tenant: Tenant, user: User, wanted: DriverSettings, preset: str, pasted: str, kept: str
) -> None:
    assert replace(wanted, preset=preset, secret=pasted).cleaned(tenant).secret == kept


@pytest.mark.parametrize("preset", ["other", "microsoft365", "gmx", "gmail"])
@pytest.mark.parametrize("host", ["smtp.gmail.com", " SMTP.Gmail.com. ", "\u200bsmtp.googlemail.com"])
def test_whose_server_it_is_decides_whichever_provider_was_chosen(
    tenant: Tenant, wanted: DriverSettings, preset: str, host: str
) -> None:
    pasted = replace(wanted, preset=preset, host=host, port=587, encryption="starttls", secret="abcd efgh ijkl mnop")
    assert pasted.cleaned(tenant).secret == "abcdefghijklmnop"


def test_a_password_of_ones_own_keeps_its_blanks_at_a_server_that_takes_it(
    tenant: Tenant, wanted: DriverSettings
) -> None:
    pasted = replace(wanted, preset="gmail", host="mail.gmx.net", port=587, encryption="starttls", secret="two words")
    assert pasted.cleaned(tenant).secret == "two words"


@pytest.mark.parametrize("around", ["\u200b", "\ufeff", "\u00a0", "\u2060", "\u200e", " \u00ad\t"])
def test_what_nobody_sees_around_a_setting_is_left_out(tenant: Tenant, wanted: DriverSettings, around: str) -> None:
    names = ("host", "username", "secret", "from_address")
    copied = replace(wanted, **{name: f"{around}{getattr(wanted, name)}{around}" for name in names})
    assert copied.cleaned(tenant) == wanted.cleaned(tenant)


@pytest.mark.parametrize(
    ("typed", "host", "port"),
    [
        ("smtp.gmail.com:465", "smtp.gmail.com", 465),
        ("smtp.gmail.com: 465", "smtp.gmail.com", 465),
        (" smtp.gmail.com :587 ", "smtp.gmail.com", 587),
        ("[::1]:587", "::1", 587),
        ("[2001:db8::25]", "2001:db8::25", None),
        ("::1", "::1", None),
        ("smtps://smtp.gmail.com:465/", "smtp.gmail.com", 465),
        ("SMTPS://smtp.gmail.com", "smtp.gmail.com", 465),
        ("smtp://smtp.gmail.com:587", "smtp.gmail.com", 587),
        ("smtp://smtp.gmail.com", "smtp.gmail.com", None),
        ("192.0.2.1:2525", "192.0.2.1", 2525),
        ("mail.bücher.example:587", "mail.bücher.example", 587),
        ("mail.acme.example", "mail.acme.example", None),
        ("", "", None),
        # None of these is a server with a port; they are refused as they stand.
        ("https://smtp.acme.example", "https://smtp.acme.example", None),
        ("smtp.acme.example/mail", "smtp.acme.example/mail", None),
        ("smtp.acme.example:465:1", "smtp.acme.example:465:1", None),
        ("smtp.acme.example:123456", "smtp.acme.example:123456", None),
        ("smtp.acme.example:٤٦٥", "smtp.acme.example:٤٦٥", None),
        ("[::1", "[::1", None),
    ],
)
def test_a_port_that_was_typed_with_the_server_is_told_from_it(typed: str, host: str, port: int | None) -> None:
    assert host_and_port(typed) == (host, port)


def seconds(host: str, tenant: Tenant, wanted: DriverSettings) -> float:
    began = time.process_time()
    with pytest.raises(InvalidFields):
        replace(wanted, host=host).cleaned(tenant)
    return time.process_time() - began


@pytest.mark.parametrize("piece", ["0:", "a.", "-", "::", "0.", "["])
def test_the_work_on_a_servers_name_grows_no_faster_than_the_name(
    tenant: Tenant, wanted: DriverSettings, piece: str
) -> None:
    """`"0:" * 3500 + "x"` once held a process for half a minute."""
    once, twice = (piece * (size // len(piece)) + "x" for size in (500_000, 1_000_000))
    short = min(seconds(once, tenant, wanted) for _ in range(5))
    long = min(seconds(twice, tenant, wanted) for _ in range(5))
    assert long <= 3 * short + 0.001


@pytest.mark.parametrize("host", ["::1", "2001:db8::25"])
def test_an_ipv6_address_is_a_server_too(tenant: Tenant, wanted: DriverSettings, host: str) -> None:
    assert replace(wanted, host=host).cleaned(tenant).host == host


@pytest.mark.parametrize("host", ["1:2:3", "fe80::1%eth0", ":", "0:0:0:0:0:0:0:0:0"])
def test_what_only_looks_like_an_address_is_none(tenant: Tenant, wanted: DriverSettings, host: str) -> None:
    with pytest.raises(InvalidFields) as refused:
        replace(wanted, host=host).cleaned(tenant)
    assert ("host", "not_a_host") in refused.value.errors


def test_a_stored_sender_from_before_a_rule_stays_usable_until_it_is_edited(
    app: Flask, tenant: Tenant, user: User, wanted: DriverSettings, service: MailService
) -> None:
    """Or an expired password could not be replaced."""
    saved(tenant, user, wanted)
    configure(app, own_domains=wanted.from_address.rpartition("@")[2], protected_names=wanted.from_name)
    assert wanted.cleaned(tenant) == wanted
    for change in ({"from_name": f"{wanted.from_name} 2"}, {"from_address": f"x.{wanted.from_address}"}):
        with pytest.raises(InvalidFields) as refused:
            replace(wanted, **change).cleaned(tenant)
        assert [reason for _, reason in refused.value.errors] in (["name_protected"], ["own_domain"])
