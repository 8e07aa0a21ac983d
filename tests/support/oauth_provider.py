"""The demo's stand-ins for Google and Microsoft on a free loopback port, with somebody who signs in at them."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.parse import parse_qsl, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from demo.oauth.authorization import Client
from demo.oauth.brands import BRANDS
from demo.oauth.provider import Provider, create_oauth_app
from demo.oauth.serving import KeepAliveServer

CLIENT_ID, CLIENT_SECRET = "absender-test", "secret-of-absender-test"


@dataclass(frozen=True)
class Sent:
    """One mail that a stand-in took."""

    mail_from: str
    rcpt_to: tuple[str, ...]
    content: bytes


@dataclass(frozen=True)
class Answer:
    """What a page said. `location`: where it leads to, "" if nowhere."""

    status: int
    text: str
    location: str

    @property
    def params(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.location).query, keep_blank_values=True))


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


class OAuthProvider:
    """Use as a context manager. Moods are attributes: `provider.google.moods.tokens = "throttled"`.

    `redirect_uris`: what the app is registered with at both. `sent` has the mails that the stand-ins took.
    """

    def __init__(self, *redirect_uris: str, folder: Path | None = None) -> None:
        self.sent: list[Sent] = []
        self.providers = [
            Provider(
                brand, Client(CLIENT_ID, CLIENT_SECRET, list(redirect_uris)), self._deliver,
                folder / f"{brand.path}.json" if folder else None,
            )
            for brand in BRANDS
        ]  # fmt: skip
        self.google, self.microsoft = self.providers

    def _deliver(self, mail_from: str, rcpt_to: Sequence[str], content: bytes) -> None:
        self.sent.append(Sent(mail_from, tuple(rcpt_to), content))

    def __enter__(self) -> Self:
        self.server = KeepAliveServer(create_oauth_app(self.providers))
        for provider in self.providers:
            provider.base = self.base
        self.server.start()
        return self

    def __exit__(self, *details: object) -> None:
        for provider in self.providers:
            provider.moods.end_waits()
        self.server.stop()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def endpoints(self) -> dict[str, dict[str, str]]:
        """What PORTAL_PROVIDER_ENDPOINTS holds."""
        return {provider.brand.key: provider.brand.endpoints(self.base) for provider in self.providers}

    def write(self, path: Path) -> Path:
        """Write a file for PORTAL_PROVIDER_ENDPOINTS."""
        lines: list[str] = []
        for key, urls in self.endpoints().items():
            lines += [f"[{key}]", *(f'{use} = "{url}"' for use, url in urls.items()), ""]
        path.write_text("\n".join(lines))
        return path

    def open(self, url: str, form: Sequence[tuple[str, str]] | None = None) -> Answer:
        """GET a page of a stand-in as a browser would, or POST `form` to it; redirects are not followed."""
        body = urlencode(form).encode() if form is not None else None
        request = Request(url, body, {"Accept-Language": "en"})
        try:
            with build_opener(_Stay).open(request, timeout=60) as got:
                return Answer(got.status, got.read().decode(), "")
        except HTTPError as error:
            with error:
                return Answer(error.code, error.read().decode(), error.headers.get("Location") or "")

    def sign_in(self, url: str, person: str = "", *, agree: bool = True, untick: bool = False) -> Answer:
        """Open the sign-in page at `url`, choose `person` (else whom the page suggests), agree or cancel.

        The answer's `location` is the app's callback; a page without a form is returned as it is.
        """
        page = self.open(url)
        if page.status != 200 or 'value="allow"' not in page.text:
            return page
        boxes = [] if untick else _values(page.text, 'type="checkbox"')
        chosen = person or _values(page.text, 'type="radio"')[0]
        form = [("do", "allow" if agree else "cancel"), ("person", chosen), *(("box", scope) for scope in boxes)]
        return self.open(url, form)


def _values(page: str, kind: str) -> list[str]:
    """The values of those fields of a kind that are checked."""
    fields = [field.partition(">")[0] for field in page.split("<input ")[1:]]
    chosen = [field for field in fields if kind in field and field.endswith("checked")]
    return [unescape(field.partition('value="')[2].partition('"')[0]) for field in chosen]
