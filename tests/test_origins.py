"""Equal origins are equal in every spelling."""

import pytest

from portal.origins import normal, same

pytestmark = pytest.mark.any_database

DASHBOARD = "https://dashboard.example"


@pytest.mark.parametrize(
    "spelling",
    [
        "HTTPS://Dashboard.Example",
        "https://dashboard.example/",
        "https://dashboard.example:443",
        "https://dashboard.example:0443/",
        "https://dashboard.example.",
        "https://dashboard.example.:443/",
        "https://%64ashboard.example",
        "https://dash%62oard.%45xample",
    ],
)
def test_an_origin_has_one_spelling(spelling: str) -> None:
    assert normal(spelling) == DASHBOARD and same(spelling, DASHBOARD)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://BÜCHER.example", "https://XN--BCHER-KVA.example:443"),
        ("https://b%C3%BCcher.example", "https://b%c3%bccher.example"),
        ("http://shop.example:80", "http://shop.example"),
        ("http://[2001:DB8:0:0::1]:80", "http://[2001:db8::1]"),
        ("http://127.1:8080", "http://127.0.0.1:8080"),
    ],
)
def test_two_spellings_of_one_origin_are_the_same(one: str, other: str) -> None:
    assert same(one, other)


@pytest.mark.parametrize(
    "other",
    [
        "http://dashboard.example",
        "https://dashboard.example:8443",
        "https://dashboard.example:80",
        "https://www.dashboard.example",
        "https://dashboard.example.evil.example",
    ],
)
def test_another_scheme_port_or_host_is_another_origin(other: str) -> None:
    assert normal(other) == other and not same(other, DASHBOARD)


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "dashboard.example", "https://", "ftp://dashboard.example", "https://*.dashboard.example",
        "https://dashboard.example/page", "https://dashboard.example?x", "https://a@dashboard.example",
        "https://dashboard.example; script-src *", "https://a.example https://b.example", "https://a.example\n",
        "https://dashboard.example:65536", "https://[::1", "https://[1::2::3]", "https://%ff.example",
        "https://a%20b.example", "https://a..example", "https://1.2.3.4.5",
    ],
)  # fmt: skip
def test_what_is_more_or_less_than_an_origin_is_none_and_equals_nothing(text: str) -> None:
    assert normal(text) is None and not same(text, text)
