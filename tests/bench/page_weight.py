"""The first load of a page: octets of everything it needs, and whether it asks anybody else for something."""

import gzip
from html.parser import HTMLParser
from urllib.parse import urlsplit

from tests.bench.browser import Answer, Browser
from tests.bench.table import Row

_LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "use": "href"}
_KILOBYTE = 1000


class _Needed(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        address = dict(attributes).get(_LOADS.get(tag, ""))
        if address and not address.startswith(("#", "data:")) and address not in self.addresses:
            self.addresses.append(address)


def measure(port: int, bearer: str, path: str) -> list[Row]:
    with Browser(port, Accept_Encoding="gzip, deflate, br, zstd") as browser:
        page = browser.get(path, Authorization=bearer)
        needed = _Needed()
        needed.feed(_plain(page).decode())
        foreign = [address for address in needed.addresses if urlsplit(address).netloc]
        own = [address for address in needed.addresses if address not in foreign]
        answers = {path: page} | {address: browser.get(address) for address in own}
    failed = [f"{address}: {answer.status}" for address, answer in answers.items() if answer.status != 200]
    if failed:
        raise RuntimeError(f"the page's parts can't be loaded: {', '.join(failed)}")
    sent = sum(answer.size for answer in answers.values()) / _KILOBYTE
    return [
        Row(
            f"settings page over the wire, {len(answers)} responses with their headers, in kB",
            f"{sent:.1f} kB sent (largest: {_largest(answers)}); with gzip for each {_compressed(answers):.1f} kB",
            sent,
            most=60,
        ),
        Row("settings page: requests to anybody else", ", ".join(foreign) or "none", len(foreign), most=0),
    ]


def _plain(answer: Answer) -> bytes:
    return gzip.decompress(answer.body) if answer.headers.get("Content-Encoding") == "gzip" else answer.body


def _compressed(answers: dict[str, Answer]) -> float:
    """What it would be if the server compressed everything."""
    octets = (answer.size - len(answer.body) + len(gzip.compress(_plain(answer), 9)) for answer in answers.values())
    return sum(octets) / _KILOBYTE


def _largest(answers: dict[str, Answer]) -> str:
    largest = sorted(answers.items(), key=lambda pair: -pair[1].size)[:4]
    return ", ".join(f"{address.rpartition('/')[2]} {answer.size / _KILOBYTE:.1f}" for address, answer in largest)
