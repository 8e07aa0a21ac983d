"""A plain-text twin of an HTML mail, for readers whose program shows none."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_BLOCK = re.compile(
    "address|article|aside|blockquote|center|dd|div|dl|dt|figure|footer|form|h[1-6]|header|hr|li|main|nav|ol|p|pre|section"
    "|table|tr|ul"
)
_APART = re.compile("p|h[1-6]|ul|ol|blockquote|table|pre|hr")
_UNSEEN = frozenset(["head", "style", "script", "title", "template", "noscript"])
_SPACE = re.compile(r"[ \t\r\n\f\v\u200b\xad]+")
_LINE_MARK, _APART_MARK = "\x01", "\x02"  # block boundaries: many in a row are one, the wider wins
_MARKS = re.compile(r"[ \x01\x02]*[\x01\x02][ \x01\x02]*")
_LINKS = ("http://", "https://", "mailto:", "tel:")


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.unseen = 0
        self.preformatted = 0
        self.lists: list[int | None] = []  # the next number of each open <ol>, None for <ul>
        self.links: list[tuple[str, int]] = []  # target, and where its text begins in parts

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in _UNSEEN:
            self.unseen += 1
        elif tag == "br":
            self.parts.append("\n")
        elif tag == "a":
            self.links.append((values.get("href") or "", len(self.parts)))
        elif tag == "img":
            self.handle_data(values.get("alt") or "")
        elif tag in ("td", "th"):
            self.parts.append(" ")
        self._break(tag)
        if tag == "pre":
            self.preformatted += 1
        elif tag == "hr":
            self.parts.append("-" * 20)
        elif tag in ("ul", "ol"):
            self.lists.append(1 if tag == "ol" else None)
        elif tag == "li":
            number = self.lists[-1] if self.lists else None
            self.parts.append("* " if number is None else f"{number}. ")
            if number is not None:
                self.lists[-1] = number + 1

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self.unseen = max(0, self.unseen - 1)
        elif tag == "a" and self.links:
            target, begin = self.links.pop()
            text = "".join(self.parts[begin:]).strip()
            if target.startswith(_LINKS) and text and target.partition(":")[2].strip("/") not in text:
                self.parts.append(f" ({target})")
            elif target.startswith(_LINKS) and not text:
                self.parts.append(target)
        elif tag in ("ul", "ol") and self.lists:
            self.lists.pop()
        elif tag == "pre":
            self.preformatted = max(0, self.preformatted - 1)
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if not self.unseen:
            data = _MARKS.sub(" ", data)
            self.parts.append(data if self.preformatted else _SPACE.sub(" ", data))

    def _break(self, tag: str) -> None:
        if _BLOCK.fullmatch(tag):
            nested = tag in ("ul", "ol") and self.lists
            self.parts.append(_APART_MARK if _APART.fullmatch(tag) and not nested else _LINE_MARK)


def text_from_html(html: str) -> str:
    """The words of the page in reading order: paragraphs, lists, the targets of links; no styles or scripts."""
    parser = _Text()
    parser.feed(html)
    parser.close()
    text = _MARKS.sub(lambda found: "\n\n" if _APART_MARK in found[0] else "\n", "".join(parser.parts))
    lines = [re.sub(" {2,}", " ", line).strip() for line in text.replace("\xa0", " ").split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"
