"""What a sender's name may hold, and what is read out of a shop's name."""

import pytest

from portal.transport.mime import names
from portal.transport.mime.addresses import InvalidAddress, check_display_name

pytestmark = pytest.mark.any_database

USABLE = [
    "Acme Shop", "Müller & Söhne, Inc. (Berlin)", "株式会社", "7", "Otto.de", "Booking.com", "Yoga@Home",
    "Dinner @ Eight",
    "Yoga @ St. Pauli", "Café ☕️", "Ana's 👩\u200d🌾 Farm", "👨🏽\u200d🚀 Kids", "کتاب\u200cخانه",
    "क्\u200dष", "葛\U000e0100飾", "🫨 Shake",
    "❤️ Acme",
]  # fmt: skip


@pytest.mark.parametrize("name", USABLE)
def test_an_ordinary_name_is_taken_as_it_is(name: str) -> None:
    assert names.check_sender_name(f"  {name} ") == name


@pytest.mark.parametrize("name", USABLE)
def test_what_a_sender_may_be_called_can_be_read_back_from_a_header(name: str) -> None:
    assert check_display_name(names.check_sender_name(name)) == name


@pytest.mark.parametrize(
    "name",
    [
        "ceo@bank.example", "ceo @ bank.example", "ceo @ bank . example", "c e o @ b a n k . e x a m p l e",
        "ceo＠bank.example",
        "ceo ﹫ bank．example",
        "ceo(at)bank.example", "ceo [AT] bank [dot] example", "ceo@bank。example", "ceo@bank․example",
        "ceo@bank. example",
        "Bank <ceo@bank.example>", "ceo@bänk.example", "ceo@xn--bnk-qla.example",
        "Acme ceo@mail.bank.example now",
    ],
)  # fmt: skip
def test_an_address_is_seen_however_it_is_spaced_and_spelled(name: str) -> None:
    assert reason_for(name) == "name_looks_like_address"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Acme\u200b\u202e\r\nShop\x00", "Acme Shop"), ("👩\u200d👧 Pay\u200dPal", "👩\u200d👧 PayPal"),
        ("می\u200cخواهم", "می\u200cخواهم"), ("Acme\xa0Shop \U0001fae9", "Acme Shop \U0001fae9"), ("\u200b \x07", ""),
    ],
)  # fmt: skip
def test_what_is_shown_is_what_can_be_seen(text: str, shown: str) -> None:
    assert names.shown(text) == shown


@pytest.mark.parametrize(
    "name",
    [
        "Acme\u200b", "Ac\u00adme", "\ufeffAcme", "Acme\u202egnp", "Acme\u2066", "Pay\u200dPal",
        "Pay\u200cPal", "Acme\u200d",
        "\u200dAcme", "Acme \u200d Shop", "👩\u200dA", "Acme\u3164", "\u115fAcme", "Ac\u2800me", "Acme\uffa0",
        "\ufe0fAcme",
        "Acme \ufe0f", "A\ufe0f\ufe0f", "Acme\ue000", "Ac\u034fme", "Acme\ufffc", "Acme\x07", "Acme\x00",
        "Acme\ud800",
        "Acme\U000e0041",
    ],
)  # fmt: skip
def test_what_nobody_sees_is_refused(name: str) -> None:
    assert reason_for(name) == "name_control_characters"


@pytest.mark.parametrize("name", ["-", "...", "!?", "★ ★", "🌸", "\u0301", "ʼ", "@", "“”"])
def test_a_name_needs_a_letter_or_digit(name: str) -> None:
    assert reason_for(name) == "name_without_letters"


@pytest.mark.parametrize("name", ["\u3164", "\u2800\u2800", "\u200b", "\u115f\u1160"])
def test_a_name_of_nothing_is_refused(name: str) -> None:
    assert reason_for(name) == "name_control_characters"


@pytest.mark.parametrize(
    "name",
    [
        "https://evil.example", "HTTP : evil", "www.evil.example", "ｗｗｗ．evil．example", "//evil",
        "evil.example/pay",
        "evil.example?x", "evil.example:8080", "mailto:ceo", "call 0800 123 456", "+49 (0)30 / 12 34 56 7",
        "0800-123456",
        "①②③④⑤⑥⑦", "٠١٢٣٤٥٦٧", "1.2.3.4", "\\\\server",
    ],
)  # fmt: skip
def test_links_and_numbers_are_seen(name: str) -> None:
    assert names.holds_link(name)


@pytest.mark.parametrize(
    "name", ["Acme Shop", "AC/DC Fanshop", "24/7 Kiosk", "Studio 54", "Seit 1924", "Otto.de", "Acme: Books", "4711"]
)
def test_an_ordinary_name_has_none(name: str) -> None:
    assert not names.holds_link(name)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Otto.de", ["otto.de"]),
        ("Booking.com Hotels", ["booking.com"]),
        ("bank . example", ["bank.example"]),
        ("bank. example", ["bank.example"]),
        ("b a n k . e x a m p l e", ["bank.example"]),
        ("bank．example", ["bank.example"]),
        ("bank。example", ["bank.example"]),
        ("bank․example", ["bank.example"]),
        ("ba\u200bnk.ex\u00adample", ["bank.example"]),
        ("bank(dot)example", ["bank.example"]),
        ("Now!...bank.example.", ["bank.example"]),
        ("bücher.de", ["bücher.de"]),
        ("bank.xn--p1ai", ["bank.xn--p1ai"]),
        ("FC St. Pauli", []),
        ("Blumen u. mehr e.V.", []),
        ("Müller GmbH & Co.KG", []),
        ("No.1 Shop", []),
        ("Version 2.0", []),
        ("A.T.U", []),
    ],
)
def test_domains_are_read_out(name: str, found: list[str]) -> None:
    assert names.domains(name) == found


def reason_for(name: str) -> str:
    with pytest.raises(InvalidAddress) as caught:
        names.check_sender_name(name)
    return caught.value.reason
