"""Errors in the form of each provider: of its sign-in and tokens, of its mail API, and as a page of HTML."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from authlib.oauth2.rfc6749 import OAuth2Error
from flask import Response, jsonify, make_response, redirect, render_template

from demo.oauth.brands import GOOGLE
from demo.oauth.faults import Fault

if TYPE_CHECKING:
    from demo.oauth.provider import Provider

_STATUS_WORDS = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE",
}  # fmt: skip

# What Authlib says -> Microsoft's number, and Google's words where Google has some.
_NUMBERS = {
    "Code challenge failed.": 501481, "Missing 'code_verifier'": 501481, "Invalid 'code_verifier'": 501481,
    "Invalid 'redirect_uri' in request.": 50011, "The client does not exist on this server.": 700016,
}  # fmt: skip
_OTHER_NUMBERS = {
    "invalid_client": 7000215,
    "invalid_scope": 70011,
    "unsupported_grant_type": 70003,
    "invalid_grant": 70000,
}
_GOOGLE_WORDS = {
    "Code challenge failed.": "Invalid code verifier.", "Missing 'code_verifier'": "Missing code verifier.",
    "Invalid 'code' in request.": "Malformed auth code.", "Invalid 'redirect_uri' in request.": "Bad Request",
    "The client does not exist on this server.": "The OAuth client was not found.",
}  # fmt: skip


def refused(provider: Provider, request: Any, error: OAuth2Error) -> Response:
    """What Authlib refused at the token endpoint, in the provider's words."""
    text, form = error.description or "", request.form
    status = 401 if error.error == "invalid_client" else error.status_code
    code, refresh = form.get("code", ""), form.get("refresh_token", "")
    known = provider.ledger.refresh(refresh)
    if provider.brand is GOOGLE:
        if error.error == "invalid_client":
            text = _GOOGLE_WORDS.get(text, "Unauthorized")
        elif refresh and error.error == "invalid_grant":
            text = "Token has been expired or revoked." if known else "Bad Request"
        return oauth_error(provider, Fault("", status, error.error, _GOOGLE_WORDS.get(text, text)))
    number = _NUMBERS.get(text) or _OTHER_NUMBERS.get(error.error, 900144)
    if code and provider.ledger.was_spent(code) and text == "Invalid 'code' in request.":
        number, text = 54005, "OAuth2 Authorization code was already redeemed, please retry with a new valid code."
    elif known and known.dead:
        number, text = 50173, "The provided grant has expired due to it being revoked."
    elif error.error == "invalid_client" and "client_secret" not in form and "Authorization" not in request.headers:
        number = 7000218
    return oauth_error(provider, Fault("", status, error.error, text, number))


def oauth_error(provider: Provider, fault: Fault) -> Response:
    """The token endpoint's error."""
    if fault.html:
        return html_page(provider, fault)
    body: dict[str, Any] = {"error": fault.error, "error_description": fault.text}
    if provider.brand is GOOGLE and fault.detail:
        body = body | {"error": "invalid_grant", "error_subtype": fault.detail}
    elif provider.brand is not GOOGLE:
        now, trace, correlation = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}", str(uuid.uuid4()), str(uuid.uuid4())
        number = f"AADSTS{fault.number}: " if fault.number else ""
        body["error_description"] = (
            f"{number}{fault.text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}"
        )
        body |= {"error_codes": [fault.number] if fault.number else [], "timestamp": now, "trace_id": trace,
                 "correlation_id": correlation}  # fmt: skip
        if fault.detail:
            body["suberror"] = fault.detail
        if fault.error == "interaction_required":
            body["claims"] = '{"access_token":{"capolids":{"essential":true,"values":["demo"]}}}'
    return _finished(provider, fault, jsonify(body))


def api_error(provider: Provider, fault: Fault) -> Response:
    """The mail API's error."""
    if fault.html:
        return html_page(provider, fault)
    if provider.brand is GOOGLE:
        detail = {"message": fault.text, "domain": "global", "reason": fault.error}
        error = {"code": fault.status, "message": fault.text, "errors": [detail]}
        body: dict[str, Any] = {"error": error | {"status": _STATUS_WORDS.get(fault.status, "INTERNAL")}}
        more: dict[str, str] = {}
    else:
        inner = {"date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}", "request-id": str(uuid.uuid4())}
        body = {"error": {"code": fault.error, "message": fault.text, "innerError": inner}}
        more = {"request-id": inner["request-id"]}
    response = _finished(provider, fault, jsonify(body))
    response.headers.update(more)
    return response


def html_page(provider: Provider, fault: Fault) -> Response:
    return _finished(provider, fault, make_response(
        f"<!doctype html><html><head><title>{fault.status}</title></head>"
        f"<body><h1>{fault.status}. That's an error.</h1><p>{provider.brand.name} demo: bad gateway.</body></html>"
    ))  # fmt: skip


def sign_in_error(provider: Provider, fault: Fault, words: dict[str, str], back: dict[str, str]) -> Response:
    """At the sign-in page: back to the app with the error if the provider does that, else a page that says it.

    `back`: redirect_uri and state; without a good redirect_uri there is a page only.
    """
    if fault.html:
        return html_page(provider, fault)
    if fault.returns and back.get("redirect_uri"):
        text = f"AADSTS{fault.number}: {fault.text}" if fault.number else fault.text
        params = {"error": fault.error, "error_description": text, "state": back.get("state", "")}
        return send_back(back["redirect_uri"], {name: value for name, value in params.items() if value})
    number = f"AADSTS{fault.number}" if fault.number else f"{fault.status}: {fault.error}"
    page = render_template("sign_in_error.html", t=words, brand=provider.brand, number=number, text=fault.text)
    return make_response(page, fault.status)


def send_back(redirect_uri: str, params: dict[str, str]) -> Response:
    joint = "&" if "?" in redirect_uri else "?"
    return redirect(f"{redirect_uri}{joint}{urlencode(params)}", 302)  # type: ignore[return-value]


def _finished(provider: Provider, fault: Fault, response: Response) -> Response:
    response.status_code = fault.status
    if fault.waits:
        response.headers["Retry-After"] = str(provider.moods.retry_after)
    return response
