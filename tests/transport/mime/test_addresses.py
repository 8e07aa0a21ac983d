"""Addresses and display names that people type."""

import pytest

from portal.transport.mime.addresses import InvalidAddress, check_display_name, readable_address, validate_address

pytestmark = pytest.mark.any_database


def reason_for(text: str) -> str:
    with pytest.raises(InvalidAddress) as caught:
        validate_address(text)
    return caught.value.reason


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("shop@example.com", "shop@example.com"),
        (" shop@example.com ", "shop@example.com"),
        ("First.Last+tag@EXAMPLE.com", "First.Last+tag@example.com"),
        ("o'brien@example.com", "o'brien@example.com"),
        ("shop@müller.example", "shop@xn--mller-kva.example"),
        ("shop@MÜLLER.example", "shop@xn--mller-kva.example"),
        ("shop@straße.example", "shop@xn--strae-oqa.example"),
        ("shop@例え.テスト", "shop@xn--r8jz45g.xn--zckzah"),
        ("shop@例え。テスト", "shop@xn--r8jz45g.xn--zckzah"),
        ("a@b.co", "a@b.co"),
        ("x@1and1.example", "x@1and1.example"),
        # Local parts of RFC 5321 section 4.1.2
        ("a/b=c!d%e$f{g}|h~i^j`k?l*m&n#o'p@example.com", "a/b=c!d%e$f{g}|h~i^j`k?l*m&n#o'p@example.com"),
        ('"john doe"@example.com', '"john doe"@example.com'),
        ('"john..doe"@example.com', '"john..doe"@example.com'),
        ('".john."@Example.com', '".john."@example.com'),
        ('"a@b,(c)<d>:;"@example.com', '"a@b,(c)<d>:;"@example.com'),
        ('"john.doe"@example.com', "john.doe@example.com"),
        ('"\\j\\o\\h\\n"@example.com', "john@example.com"),
        ('"a\\ \\"\\\\"@example.com', '"a \\"\\\\"@example.com'),
        ('""@example.com', '""@example.com'),
        ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
    ],
)
def test_a_usable_address_comes_back_in_its_envelope_form(typed: str, meant: str) -> None:
    assert validate_address(typed) == meant
    assert validate_address(meant) == meant


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("shop", "not_an_address"),
        ("@example.com", "not_an_address"),
        ("shop@", "not_an_address"),
        ("a b@example.com", "not_an_address"),
        ("a..b@example.com", "not_an_address"),
        (".a@example.com", "not_an_address"),
        ('"a"b"@example.com', "not_an_address"),
        ('"a\\"@example.com', "not_an_address"),
        ('"a".b@example.com', "not_an_address"),
        ('"a\x00b"@example.com', "not_an_address"),
        ('"a\r\nb"@example.com', "line_break"),
        ('"jürgen k"@example.com', "non_ascii_local_part"),
        ("Shop <shop@example.com>", "not_an_address"),
        ("a@b@example.com", "not_an_address"),
        ("a,b@example.com", "not_an_address"),
        ("shop@example.com\r\nBcc: x@y.example", "line_break"),
        ("shop@example.com\n", "line_break"),
        ("shop@example\u2028.com", "line_break"),
        ("josé@example.com", "non_ascii_local_part"),
        ("shop@localhost", "no_such_domain_form"),
        ("shop@[127.0.0.1]", "no_such_domain_form"),
        ("shop@127.0.0.1", "no_such_domain_form"),
        ("shop@-example.com", "no_such_domain_form"),
        ("shop@example..com", "no_such_domain_form"),
        ("shop@example.com.", "no_such_domain_form"),
        ("shop@exa_mple.com", "no_such_domain_form"),
        ("shop@xn--zzzzzz.example", "no_such_domain_form"),
        ("shop@♥\u200b.example", "no_such_domain_form"),
        ("a" * 65 + "@example.com", "too_long"),
        ("a@" + "b" * 63 + "." + "c" * 63 + "." + "d" * 63 + "." + "e" * 63 + ".com", "too_long"),
        ("a" * 1_000_000, "too_long"),
    ],
)
def test_any_other_is_refused_with_its_reason(typed: str, reason: str) -> None:
    assert reason_for(typed) == reason


def test_a_domain_is_shown_in_its_own_letters() -> None:
    assert readable_address("shop@xn--mller-kva.example") == "shop@müller.example"
    assert readable_address("shop@example.com") == "shop@example.com"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Acme Shop", "Acme Shop"),
        ("  Acme   Shop ", "Acme Shop"),
        ("Müller & Söhne, Inc. (Berlin)", "Müller & Söhne, Inc. (Berlin)"),
        ("株式会社", "株式会社"),
        ("Zoë's 👨\u200d👩\u200d👧 Shop", "Zoë's 👨\u200d👩\u200d👧 Shop"),
        ("Dinner @ Eight", "Dinner @ Eight"),
    ],
)
def test_a_display_name_is_kept_but_for_its_spaces(typed: str, meant: str) -> None:
    assert check_display_name(typed) == meant


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("", "empty"),
        (" ", "empty"),
        ("x" * 79, "name_too_long"),
        ("ceo@bank.example", "name_looks_like_address"),
        ("Bank <ceo@bank.example>", "name_looks_like_address"),
        ("ceo＠bank.example", "name_looks_like_address"),
        ("Acme\r\nBcc: x@y.example", "name_control_characters"),
        ("Acme\x00", "name_control_characters"),
        ("Acme\u202egnp.exe", "name_control_characters"),
        ("Acme\u2028Shop", "name_control_characters"),
        ("Acme\ud800", "name_control_characters"),
    ],
)
def test_a_display_name_that_deceives_or_breaks_is_refused(typed: str, reason: str) -> None:
    with pytest.raises(InvalidAddress) as caught:
        check_display_name(typed)
    assert caught.value.reason == reason
    assert caught.value.args == (reason,)
