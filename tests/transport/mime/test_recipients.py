"""Whom a mail goes to: every valid address, whatever name stands before it."""

import pytest

from portal.transport.mime.addresses import InvalidAddress, Mailbox
from portal.transport.mime.recipients import MAX_NAME, parse_recipient, read_stored

pytestmark = pytest.mark.any_database

ADDRESS = "jane@customer.example"


@pytest.mark.parametrize(
    ("said", "name"),
    [
        (ADDRESS, ""),
        (f"<{ADDRESS}>", ""),
        (f" Jane Doe  < {ADDRESS} > ", "Jane Doe"),
        (f"{ADDRESS} <{ADDRESS}>", ADDRESS),
        (f'"{ADDRESS}" <{ADDRESS}>', ADDRESS),
        (f"Doe, Jane <{ADDRESS}>", "Doe, Jane"),
        (f'"Doe, jane@work.example" <{ADDRESS}>', "Doe, jane@work.example"),
        (f'"Jane" Doe <{ADDRESS}>', "Jane Doe"),
        (f'Jane "JD" Doe <{ADDRESS}>', "Jane JD Doe"),
        (f'6" pipes <{ADDRESS}>', '6" pipes'),
        (f"Jane <3 <{ADDRESS}>", "Jane <3"),
        (f"Yoga@Home, Berlin <{ADDRESS}>", "Yoga@Home, Berlin"),
        (f"Jane\r\nBcc: x <{ADDRESS}>", "Jane Bcc: x"),
        (f"Jane\x00\u202e\ud800 <{ADDRESS}>", "Jane"),
        (f"山田\u3000太郎 <{ADDRESS}>", "山田 太郎"),
        (f"👩\u200d👧 می\u200cخواهم <{ADDRESS}>", "👩\u200d👧 می\u200cخواهم"),
        (f"\u200b\xad <{ADDRESS}>", ""),
        (f'"" <{ADDRESS}>', ""),
        (f"{'J' * 300} <{ADDRESS}>", "J" * MAX_NAME),
        (f"{'J' * 99}👩\u200d👧 <{ADDRESS}>", "J" * 99),
        (f"{'J' * 99}u\u0308 <{ADDRESS}>", "J" * 99),
    ],
)
def test_the_name_keeps_no_mail_from_being_sent(said: str, name: str) -> None:
    assert parse_recipient(said) == Mailbox(name, ADDRESS)


@pytest.mark.parametrize("local", ['"john doe"', '"<john>"', '"a@b"', r'"a\"b\\c"', "a%b!c/d=e", '"<"', '">"', '""'])
def test_every_local_part_is_read_with_a_name_and_without(local: str) -> None:
    address = f"{local}@customer.example"
    assert parse_recipient(address) == Mailbox("", address)
    assert parse_recipient(f'"<Jane> \\"JD\\"" <{address}>') == Mailbox('<Jane> "JD"', address)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "Jane",
        "Jane <>",
        "Jane <jane>",
        "<jane@customer.example> Jane",
        "jane@customer.example, bob@customer.example",
        "Jane <jane@customer.example>, Bob <bob@customer.example>",
        "jane@customer.example; Bob <bob@customer.example>",
        '"j d"@customer.example, Bob <bob@customer.example>',
        "<jane@customer.example> <bob@customer.example>",
        '"jane@customer.example, Bob <bob@customer.example>',
        "Jane <jane@customer.example\r\nBcc: bob@customer.example>",
        "<a@b.example><script>",
    ],
)
def test_what_is_no_address_or_several_is_refused(said: str) -> None:
    with pytest.raises(InvalidAddress):
        parse_recipient(said)


@pytest.mark.parametrize(
    "mailbox",
    [
        Mailbox("", ADDRESS),
        Mailbox('Doe, "JD" \\ <jane@home.example>', '"a <b"@customer.example'),
        Mailbox("Jane", '"\\"\\\\"@customer.example'),
        Mailbox("J" * MAX_NAME, ADDRESS),
    ],
)
def test_what_is_stored_is_read_as_it_was(mailbox: Mailbox) -> None:
    assert read_stored(mailbox.as_header()) == mailbox


def test_a_name_that_is_too_long_to_be_stored_is_left_out() -> None:
    mailbox = Mailbox('"' * MAX_NAME, f"{'a' * 64}@{'b' * 60}.{'c' * 60}.example")
    assert mailbox.as_header() == mailbox.address


@pytest.mark.parametrize("text", [None, "", "nobody", "<>", "Jane <jane@[192.0.2.1]>"])
def test_what_was_stored_and_is_no_mailbox_is_none(text: str | None) -> None:
    assert read_stored(text) is None
