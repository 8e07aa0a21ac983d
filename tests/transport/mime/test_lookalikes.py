"""Names that pass for another one."""

import pytest

from portal.transport.mime.lookalikes import is_in

pytestmark = pytest.mark.any_database


@pytest.mark.parametrize(
    "name",
    [
        "PayPal", "paypal", "PAYPAL", "Pay Pal", "P a y P a l", "Pay-Pal", "Pay.Pal", "PayPal Support",
        "Support by PayPal",
        "PayPalSupport", "PayPal24", "24PayPal", "PayPal's Team", "PayPal!", "РауРаl", "PаyPal", "ΡayΡal",
        "PayPa1", "PayPaI",
        "PayPa|", "P@yPal", "P4yPal", "Pay\u200dPal", "Pay\u00adPal", "ＰａｙＰａｌ", "𝐏𝐚𝐲𝐏𝐚𝐥", "Ⓟⓐⓨⓟⓐⓛ",
        "🅿🅰🆈🅿🅰🅻", "ᴘᴀʏᴘᴀʟ",
        "Páypal", "PayPał", "P\u0301ayPal",
    ],
)  # fmt: skip
def test_it_is_found_in_any_spelling_and_alphabet(name: str) -> None:
    assert is_in("PayPal", name)


@pytest.mark.parametrize("name", ["Acme", "Paypalia", "Papal", "Pay later, Pal", "Мост", "", "!!!"])
def test_other_names_are_other_names(name: str) -> None:
    assert not is_in("PayPal", name)


def test_a_part_of_a_word_is_another_word() -> None:
    assert not is_in("Amazon", "Amazonas Reisen")
    assert is_in("Amazon", "Amazon Reisen")


def test_several_words_are_found_together() -> None:
    for name in ("Nordlicht Marktplatz", "Nordlicht-Marktplatz Service", "NordlichtMarktplatz"):
        assert is_in("Nordlicht Marktplatz", name)
    assert not is_in("Nordlicht Marktplatz", "Nordlicht Keramik")


def test_one_or_two_letters_are_protected_as_the_whole_name_only() -> None:
    assert is_in("X", "x") and is_in("H&M", "h & m") and not is_in("X", "X Large Fashion")


def test_a_protected_name_without_letters_protects_nothing() -> None:
    assert not is_in("---", "---") and not is_in("", "Acme")
