"""The plain-text twin: the words of any HTML, in reading order, whatever is left out or broken in it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.transport.mime import html_to_text
from portal.transport.mime.html_to_text import text_from_html
from tests.support.growth import growth

pytestmark = pytest.mark.any_database


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two</p>", "One\n\nTwo\n"),
        ("<div>One</div><div>Two</div>", "One\nTwo\n"),
        ("a<br>b", "a\nb\n"),
        ("  many \n\t spaces &amp; &lt;entities&gt;&nbsp;here ", "many spaces & <entities> here\n"),
        ("<ul><li>a<li>b</ul>", "* a\n* b\n"),
        ("<ol><li>a</li><li>b</li></ol>", "1. a\n2. b\n"),
        ('<a href="https://x.example/y">Track it</a>', "Track it (https://x.example/y)\n"),
        ('<a href="https://x.example/y">https://x.example/y</a>', "https://x.example/y\n"),
        ('<a href="javascript:alert(1)">Track it</a>', "Track it\n"),
        ('<a href="https://x.example"><img src="i" alt="Logo"></a>', "Logo (https://x.example)\n"),
        ("<head><title>T</title></head><style>p{}</style><script>x</script>Body", "Body\n"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc\n"),
        ("<p>unclosed <b>tags", "unclosed tags\n"),
        ("", "\n"),
    ],
)
def test_text_is_made_from_html(html: str, text: str) -> None:
    assert text_from_html(html) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<!DOCTYPE html><title>T</title><meta charset=latin-1><p>für<p>dich", "für\n\ndich\n"),
        ("<html><head><title>T</title><style>p{}</style><body><p>Hello", "Hello\n"),
        ("<head><meta charset=utf-8>Hello", "Hello\n"),
        ("<table><td>1<td>2<tr><td>3</table>after", "1 2\n3\n\nafter\n"),
        ("<dl><dt>Order<dd>1001</dl>", "Order\n1001\n"),
        ("<ul><li>a<ol><li>b<li>c</ol><li><p>d</ul>", "* a\n1. b\n2. c\n\n* d\n"),
        ("<select><option>a<option>b</select>", "ab\n"),
        ('<?xml version="1.0" encoding="iso-8859-1"?><p>für</p>', "für\n"),
    ],
)
def test_tags_that_may_be_left_out_are_not_missed(html: str, text: str) -> None:
    assert text_from_html(html) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<![end if]>Hello", "Hello\n"),
        ("a<!--[if mso]><p>b</p><![endif]-->c<![if !mso]>d<![endif]>", "acd\n"),
        ("<p>a<b>b</p>c</b>d</x>", "ab\n\ncd\n"),
        ("1 < 2 && 3 > 2", "1 < 2 && 3 > 2\n"),
        ("<a href=x", "\n"),
        ("a<!-- never ended <p>b", "a\n"),
        ("&#x110000; &#99999999999999999999; &notit; &", "� � ¬it; &\n"),
        ("a\x00b\ud800c", "a�b?c\n"),
        ("<b><table><tr></b><td>a</table>b", "a\n\nb\n"),
    ],
)
def test_broken_html_gives_its_text(html: str, text: str) -> None:
    assert text_from_html(html) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('<a href=" HTTPS://x.example/\ny ">Track</a>', "Track (HTTPS://x.example/y)\n"),
        ('<a href="https://x.example"></a>', "https://x.example\n"),
        (
            '<a href="https://x.example">a<a href="https://y.example">b</a>',
            "a (https://x.example)b (https://y.example)\n",
        ),
        ('<a href="https://x.example"><div>Button</div></a>', "Button\n(https://x.example)\n"),
        ('<a href="mailto:jane@x.example">jane@x.example</a>', "jane@x.example\n"),
        ("<a name=top></a>Top", "Top\n"),
    ],
)
def test_links_keep_their_addresses(html: str, text: str) -> None:
    assert text_from_html(html) == text


def test_words_below_any_depth_are_read() -> None:
    html = f"<ol>{'<div>' * 100_000}deep</b>{'</div>' * 100_000}<li>shallow</ol>"
    assert [word for word in text_from_html(html).split() if word.isalpha()] == ["deep", "shallow"]


def test_a_page_longer_than_what_is_read_at_once_keeps_its_order_and_its_signs() -> None:
    html = "".join(f"<p>Zeile {number} für <b>1</b>&nbsp;€ &amp;" for number in range(1000))
    lines = [line for line in text_from_html(html).split("\n") if line]
    assert lines == [f"Zeile {number} für 1 € &" for number in range(1000)]


def test_a_reader_that_fails_leaves_what_stands_between_the_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the reason: the twin is derived, and the mail must go."""
    monkeypatch.setattr(html_to_text, "_pieces", lambda html: [html])  # not bytes, and with half a character
    assert text_from_html("<p>one <b>\ud800two</b></p>") == "one \ud800two\n"


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(alphabet="<>/!-ab pulol=\"'&;#\n"))
def test_any_html_gives_some_text(html: str) -> None:
    assert text_from_html(html).endswith("\n")


PIECES = (
    "<td>Order 1001" + " " * 1000, "<a ", "<!--", '<img alt="' + " " * 100, "</", "<?", "<!", "<", "&", "&#", "&amp",
    "<![CDATA[", "<script>", "<title>", " ", "\n", "\u200b ", '<img alt="x y">' + " " * 100,
)  # fmt: skip
OPENED = (
    "<div>",
    "<b><p>",
    "<font>",
    "<a href=https://x.example>x",
    "<table><tr><td>",
    "<ul><li>",
    "<dl><dd>",
    "<pre>\n",
)
MARKUP = (
    *OPENED,
    "<svg>",
    "<select>",
    "<blockquote>",
    "<button>",
    "<b></p>",
    "<b><div></b>",
    "<body a=1>",
    "<br>",
    "\x00",
)


@pytest.mark.parametrize("piece", PIECES)
def test_the_work_grows_no_faster_than_the_page(piece: str) -> None:
    assert growth(text_from_html, piece) <= 3


@pytest.mark.parametrize("piece", MARKUP)
def test_nor_than_its_tags(piece: str) -> None:
    assert growth(text_from_html, piece, 200_000) <= 3


@pytest.mark.parametrize("opened", OPENED)
def test_nor_with_what_is_closed_below_what_is_open(opened: str) -> None:
    """Each closing tag is looked for among all that are open."""
    assert growth(lambda text: text_from_html(opened * (len(text) // 8) + text), "</b></x><dd><a>", 150_000) <= 3


def test_nor_with_the_attributes_of_one_tag() -> None:
    numbered = iter(range(10**9))
    assert growth(lambda text: text_from_html("<p " + "".join(f"a{next(numbered)} " for _ in text)), "x", 200_000) <= 3
