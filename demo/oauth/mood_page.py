"""The page on which the stand-ins for Google and Microsoft are put into a mood, and access is withdrawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flask import Blueprint, Response, abort, redirect, render_template, request

from demo.oauth.faults import FAULTS
from demo.oauth.moods import PLACES, TOKEN_SECONDS
from demo.oauth.provider import Provider
from demo.web import DASHBOARD_PORT

PATH = "/sign-in"
SHORT_SECONDS = 5
_SHOP = f"http://127.0.0.1:{DASHBOARD_PORT}/?tenant=atlas-outdoor"
_LABELS = {
    "sign_in": "Sign-in page",
    "tokens": "Token endpoint",
    "sending": "Mail API",
    "smtp": "SMTP with a token (XOAUTH2)",
}


class Choice(NamedTuple):
    """A list on the page: what it is about, what is chosen, what can be."""

    name: str
    label: str
    chosen: str
    options: dict[str, str]


def _choices(provider: Provider) -> list[Choice]:
    moods = [
        Choice(place, _LABELS[place], getattr(provider.moods, place),
               {"": "works", **{name: fault.label for name, fault in FAULTS[provider.brand.key][place].items()}})
        for place in PLACES
    ]  # fmt: skip
    lives = {str(TOKEN_SECONDS): "an hour, as usual", str(SHORT_SECONDS): f"{SHORT_SECONDS} seconds"}
    return [*moods, Choice("token_seconds", "Access tokens live", str(provider.moods.token_seconds), lives)]


def mood_page(providers: Sequence[Provider]) -> Blueprint:
    """`/sign-in`: shows how the stand-ins behave, and changes it."""
    page = Blueprint("moods", __name__)

    @page.get(PATH)
    def index() -> str:
        return render_template("moods.html", providers=providers, choices=_choices, shop=_SHOP)

    @page.post(PATH)
    def change() -> Response:
        provider = next((one for one in providers if one.brand.key == request.form.get("provider")), None) or abort(400)
        do, _, address = request.form.get("do", "").partition(" ")
        if do == "set":
            _set(provider)
        elif do == "withdraw" and provider.brand.person(address):
            provider.withdraw(address)
        elif do == "end_tokens":
            provider.ledger.end_access()
        else:
            abort(400)
        return redirect(PATH, 303)  # type: ignore[return-value]  # werkzeug's Response, as Flask takes it

    return page


def _set(provider: Provider) -> None:
    """What the form's lists say; nothing of it, if one of them says what there isn't."""
    wanted = {choice.name: request.form.get(choice.name, choice.chosen) for choice in _choices(provider)}
    if any(wanted[choice.name] not in choice.options for choice in _choices(provider)):
        abort(400)
    provider.moods.token_seconds = int(wanted.pop("token_seconds"))
    for place, mood in wanted.items():
        provider.set_mood(place, mood)
