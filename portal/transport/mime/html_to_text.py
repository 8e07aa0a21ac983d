"""A plain-text twin of an HTML mail, for readers whose program shows none.

libxml2 reads the HTML and tells of each element and text in turn; no tree is built. Its work at a closing tag grows
with the elements that are open, so a page that is nested deeper than any mail is read by several parsers in turn.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping

from lxml import etree

_BLOCKS = frozenset(
    ["address", "article", "aside", "blockquote", "center", "dd", "div", "dl", "dt", "figure", "footer", "form", "h1",
     "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "table", "tr",
     "ul"]
)  # fmt: skip
# An empty line is around them.
_APART = frozenset(["p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "blockquote", "table", "pre", "hr"])
_UNSEEN = frozenset(["head", "style", "script", "title", "template", "noscript", "iframe", "noframes", "noembed"])
_SPACE = re.compile(r"[\s\u200b\xad]+")
_CONTROL = re.compile(r"[\x00-\x20\x7f]+")
_LINKS = ("http://", "https://", "mailto:", "tel:")
_PIECE = 4096  # characters; more elements than are in one are never opened unnoticed
_DEEPEST = 500  # elements within each other; browsers end at about as many

log = logging.getLogger(__name__)


def text_from_html(html: str) -> str:
    """The words of the page in reading order: paragraphs, lists, the targets of links; no styles or scripts.

    Whatever the HTML is, there is a text: it is derived, and must not keep the mail from being sent.
    """
    try:
        return _read(html)
    except Exception as error:
        log.warning("HTML could not be read, so its text is what stands between the tags (%s)", type(error).__name__)
        return _SPACE.sub(" ", re.sub(r"<[^>]*>?", " ", html)).strip() + "\n"


def _read(html: str) -> str:
    text = _Text()
    parser = _parser(text)
    for piece in _pieces(html):
        parser.feed(piece)
        if text.depth > _DEEPEST:
            parser.close()
            parser = _parser(text)
    parser.close()
    return text.written()


def _parser(text: _Text) -> etree.HTMLParser:
    parser = etree.HTMLParser(target=text, encoding="utf-8", huge_tree=True)
    parser.feed("<body>")  # a parser that was given nothing can't be closed
    return parser


def _pieces(html: str) -> Iterator[bytes]:
    """The page in parts, each of which begins with a tag, as far as one can tell."""
    begin = 0
    while begin < len(html):
        end = html.find("<", begin + _PIECE)
        end = len(html) if end < 0 else end
        yield html[begin:end].encode("utf-8", "replace")
        begin = end


class _Text:
    """Makes lines of what the parser comes by."""

    def __init__(self) -> None:
        self.depth = 0
        self._lines: list[str] = []
        self._line: list[str] = []  # the parts of the one that is being written
        self._apart = False  # an empty line comes before the next words
        self._mark = ""  # stands before the next words: an item's * or number
        self._unseen = 0
        self._preformatted = 0
        self._lists: list[int | None] = []  # the next number of each open <ol>, None for <ul>
        self._target: str | None = None  # of the open link: there is one at a time
        self._linked: list[str] = []  # what it says

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self.depth += 1
        if tag in _BLOCKS:
            self._end_block(tag)
        if tag in _UNSEEN:
            self._unseen += 1
        elif tag == "br":
            self._end_line(empty=True)
        elif tag == "a":
            self._end_link()
            self._target = _CONTROL.sub("", attributes.get("href", ""))
        elif tag == "img":
            self.data(attributes.get("alt", ""))
        elif tag in ("td", "th"):
            self._line.append(" ")
        elif tag == "pre":
            self._preformatted += 1
        elif tag == "hr":
            self._line.append("-" * 20)
        elif tag in ("ul", "ol"):
            self._lists.append(1 if tag == "ol" else None)
        elif tag == "li":
            self._begin_item()

    def end(self, tag: str) -> None:
        self.depth -= 1
        if tag in _UNSEEN:
            self._unseen -= 1
        elif tag == "a":
            self._end_link()
        elif tag == "pre":
            self._preformatted -= 1
        elif tag in ("ul", "ol"):
            self._lists.pop()
        if tag in _BLOCKS:
            self._end_block(tag)
        if tag == "li":
            self._mark = ""

    def data(self, text: str) -> None:
        if self._unseen:
            return
        if self._target is not None:
            self._linked.append(text)
        first, *rest = text.split("\n") if self._preformatted else [text]
        self._line.append(first)
        for line in rest:
            self._end_line(empty=True)
            self._line.append(line)

    def close(self) -> None:
        self._end_link()
        self._end_line()

    def written(self) -> str:
        return "\n".join(self._lines) + "\n"

    def _begin_item(self) -> None:
        number = self._lists[-1] if self._lists else None
        self._mark = "* " if number is None else f"{number}. "
        if number is not None:
            self._lists[-1] = number + 1

    def _end_link(self) -> None:
        """Say where it leads, if its words don't."""
        target, self._target = self._target, None
        words = _SPACE.sub(" ", "".join(self._linked)).strip()
        self._linked = []
        if target is None or not target.lower().startswith(_LINKS):
            return
        if not words:
            self._line.append(f" {target} ")
        elif target.partition(":")[2].strip("/") not in words:
            self._line.append(f" ({target})")

    def _end_block(self, tag: str) -> None:
        self._end_line()
        if tag in _APART and not (tag in ("ul", "ol") and self._lists):
            self._apart = True

    def _end_line(self, *, empty: bool = False) -> None:
        """`empty`: also where nothing stands in it. Of several empty lines there is one."""
        words = _SPACE.sub(" ", "".join(self._line)).strip()
        self._line = []
        if not words:
            self._apart = self._apart or empty
            return
        if self._apart and self._lines:
            self._lines.append("")
        self._apart = False
        self._lines.append(self._mark + words)
        self._mark = ""
