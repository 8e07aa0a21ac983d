"""A stand-in's pages for people: sign in and agree, and, at Microsoft, the administrator's approval."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749 import OAuth2Error
from flask import Blueprint, Flask, Response, abort, make_response, render_template, request

from demo.oauth import answers
from demo.oauth.authorization import Consent, Server
from demo.oauth.brands import GOOGLE, TENANT
from demo.oauth.faults import ADMIN_APPROVAL, SLOW, UNTICKED, Fault
from demo.oauth.words import language, words

if TYPE_CHECKING:
    from demo.oauth.provider import Provider

# Google's and Microsoft's own pages that tell of an app that isn't registered so; nothing goes back to the app.
_NOT_REGISTERED = {
    "gmail": Fault("", 400, "redirect_uri_mismatch", "The redirect URI in the request is not registered."),
    "microsoft365": Fault("", 400, "invalid_request", "The redirect URI in the request is not registered.", 50011),
}
_UNKNOWN_APP = {
    "gmail": Fault("", 401, "invalid_client", "The OAuth client was not found."),
    "microsoft365": Fault("", 400, "unauthorized_client", "Application was not found in the directory.", 700016),
}
# The ticks in boxes are data: images of the style sheet's.
CSP = "default-src 'self'; img-src 'self' data:; form-action 'self'"
_DECLINED = "AADSTS65004: User declined to consent to access the app."


def blueprint(app: Flask, provider: Provider) -> Blueprint:
    part = Blueprint(f"{provider.brand.path}_pages", __name__)
    paths = provider.brand.paths

    @part.route(paths["authorize"], methods=["GET", "POST"])
    def authorize() -> Response:
        server: Server = app.extensions[f"oauth_{provider.brand.key}"]
        if request.method == "GET":
            provider.count("authorize")
            provider.asked.append(request.args.to_dict())
            if refusal := _mood(provider):
                return refusal
        if request.method == "POST" and request.form.get("do") == "cancel":
            return _cancel(provider)
        if _needs_approval(provider) and _is_registered(provider):
            return _page(provider, "admin_approval.html")
        try:
            grant = server.get_consent_grant()
            if not request.args.get("redirect_uri"):
                raise OAuth2Error("Missing redirect_uri")
        except OAuth2Error as error:
            return _refuse(provider, server, error)
        if request.method == "GET":
            return _page(provider, "sign_in.html", scopes=_scopes(provider), people=_people(provider))
        return _agree(provider, server, grant)

    if "admin_consent" in paths:

        @part.route(paths["admin_consent"], methods=["GET", "POST"])
        def admin_consent() -> Response:
            back = request.args.get("redirect_uri", "")
            if request.args.get("client_id") != provider.client.client_id:
                return _tell(provider, _UNKNOWN_APP[provider.brand.key])
            if not provider.client.check_redirect_uri(back):
                return _tell(provider, _NOT_REGISTERED[provider.brand.key])
            if request.method == "GET":
                return _page(provider, "admin_consent.html", scopes=_scopes(provider))
            state = {"state": request.args["state"]} if "state" in request.args else {}
            if request.form.get("do") != "allow":
                declined = {"error": "access_denied", "error_description": _DECLINED, "error_subcode": "cancel"}
                return answers.send_back(back, declined | state)
            provider.approved = True
            given = {"admin_consent": "True", "tenant": TENANT, "scope": request.args.get("scope", "")}
            return answers.send_back(back, given | state)

    return part


def _mood(provider: Provider) -> Response | None:
    fault, mood = provider.moods.fault("sign_in"), provider.moods.sign_in
    if mood == SLOW:
        provider.moods.linger()
    if fault and mood not in (SLOW, UNTICKED, ADMIN_APPROVAL):
        return _tell(provider, fault)
    return None


def _needs_approval(provider: Provider) -> bool:
    return provider.moods.sign_in == ADMIN_APPROVAL and not provider.approved


def _is_registered(provider: Provider) -> bool:
    return provider.client.check_redirect_uri(request.args.get("redirect_uri", ""))


def _tell(provider: Provider, fault: Fault) -> Response:
    back = request.args.to_dict() if _is_registered(provider) else {}
    return answers.sign_in_error(provider, fault, words(provider.brand.name), back)


def _refuse(provider: Provider, server: Server, error: OAuth2Error) -> Response:
    """What Authlib says of the request: to the app where its address is known, else on a page."""
    if error.redirect_uri:
        return server.handle_error_response(request, error)
    if request.args.get("client_id") != provider.client.client_id:
        return _tell(provider, _UNKNOWN_APP[provider.brand.key])
    if not _is_registered(provider):
        return _tell(provider, _NOT_REGISTERED[provider.brand.key])
    return _tell(provider, Fault("", 400, error.error or "invalid_request", error.description or ""))


def _cancel(provider: Provider) -> Response:
    """The person says no; or comes back from "needs approval", which Microsoft tells in the same way."""
    if not _is_registered(provider):
        return _tell(provider, _NOT_REGISTERED[provider.brand.key])
    told = {"error": "access_denied"}
    if provider.brand is not GOOGLE:
        waits, fault = _needs_approval(provider), provider.moods.fault("sign_in")
        told["error_description"] = f"AADSTS90094: {fault.text}" if waits and fault else _DECLINED
        told |= {} if waits else {"error_subcode": "cancel"}
    state = {"state": request.args["state"]} if "state" in request.args else {}
    return answers.send_back(request.args["redirect_uri"], told | state)


def _scopes(provider: Provider) -> list[dict[str, Any]]:
    """What the page says of each scope that was asked for."""
    place = int(language() == "de")
    asked = [one for one in request.args.get("scope", "").split() if provider.brand.scopes.get(one, ("",))[0]]
    ticked = provider.moods.sign_in != UNTICKED
    return [
        {"scope": one, "text": provider.brand.scopes[one][place], "box": one in provider.brand.optional, "on": ticked}
        for one in asked
    ]


def _people(provider: Provider) -> list[dict[str, Any]]:
    hinted = provider.brand.person(request.args.get("login_hint", "")) or provider.brand.people[0]
    return [{"address": one.address, "name": one.name, "on": one is hinted} for one in provider.brand.people]


def _agree(provider: Provider, server: Server, grant: Any) -> Response:
    person = provider.brand.person(request.form.get("person", "")) or abort(400)
    asked = request.args.get("scope", "").split()
    ticked = request.form.getlist("box")
    granted = " ".join(one for one in asked if one not in provider.brand.optional or one in ticked)
    if not granted:
        return _cancel(provider)  # agreed to nothing
    prompt = request.args.get("prompt", "").split()
    if provider.brand is GOOGLE:
        first = "consent" in prompt or not provider.ledger.has_consent(person.address)
        offline = request.args.get("access_type") == "offline" and first
    else:
        offline = "offline_access" in asked
    response = server.create_authorization_response(grant_user=Consent(person, granted, offline), grant=grant)
    more = {"session_state": secrets.token_hex(16)}
    if provider.brand is GOOGLE:
        shown = " ".join(provider.brand.shown_as.get(one, one) for one in granted.split())
        more = {"iss": provider.issuer, "scope": shown, "authuser": "0", "prompt": " ".join(prompt) or "none"}
    response.headers["Location"] = add_params_to_uri(response.headers["Location"], list(more.items()))
    return response


def _page(provider: Provider, template: str, **values: Any) -> Response:
    response = make_response(render_template(
        template, t=words(provider.brand.name), brand=provider.brand, action=request.full_path, **values
    ))  # fmt: skip
    # The form's answer leads to the app, and browsers ask form-action about that address as well.
    parts = urlsplit(request.args.get("redirect_uri", ""))
    back = f" {parts.scheme}://{parts.netloc}" if _is_registered(provider) else ""
    response.headers["Content-Security-Policy"] = f"{CSP}{back}"
    response.headers["X-Frame-Options"] = "DENY"
    # Microsoft's says so since February 2026, and whoever opened the page loses sight of it.
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return response
