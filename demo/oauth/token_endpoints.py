"""A stand-in's endpoints for programs: token, revocation, keys, and whose account a token opens."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from flask import Blueprint, Flask, Response, jsonify, request

from demo.oauth import answers
from demo.oauth.authorization import Server
from demo.oauth.brands import GOOGLE
from demo.oauth.faults import CUT, SLOW, Fault

if TYPE_CHECKING:
    from demo.oauth.provider import Provider

_GRANTS = {"authorization_code": "code", "refresh_token": "refresh"}


def blueprint(app: Flask, provider: Provider) -> Blueprint:
    part = Blueprint(f"{provider.brand.path}_tokens", __name__)
    paths, server = provider.brand.paths, Server(app, provider)
    app.extensions[f"oauth_{provider.brand.key}"] = server

    @part.post(paths["token"])
    def token() -> Response:
        grant = request.form.get("grant_type", "")
        provider.count(_GRANTS.get(grant, "other"))
        fault, mood = provider.moods.fault("tokens"), provider.moods.tokens
        if fault and (fault.error or fault.html) and fault.only in ("", grant):
            return answers.oauth_error(provider, fault)
        response = server.create_token_response()
        if grant == "refresh_token" and response.status_code == 200:
            provider.count("renewed")
        if mood == SLOW:
            provider.moods.linger()
        elif mood == CUT:
            cut()
        return response

    @part.get(paths["jwks"])
    def jwks() -> Response:
        return jsonify(keys=[provider.key.as_dict(private=False)])

    if "revoke" in paths:

        @part.post(paths["revoke"])
        def revoke() -> Response:
            """As Google has it: without the app's secret, for either kind of token, and the whole consent ends."""
            provider.count("revoke")
            text = request.values.get("token", "")
            token = provider.ledger.refresh(text) or provider.ledger.access(text)
            if token is None or token.dead:
                return answers.oauth_error(provider, Fault("", 400, "invalid_token", "Token expired or revoked"))
            provider.withdraw(token.person)
            return jsonify({})

    if provider.brand is GOOGLE:

        @part.get(paths["account"])
        def userinfo() -> Response:
            provider.count("account")
            fault = provider.moods.fault("sending")
            if fault and (fault.html or fault.status in (401, 429, 503)):
                return answers.api_error(provider, fault)
            if not (known := provider.access(bearer())):
                return answers.oauth_error(provider, Fault("", 401, "invalid_request", "Invalid Credentials"))
            person, found = known
            return jsonify(provider.claims(person, found.scope))

    return part


def bearer() -> str:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def cut() -> None:
    """End the connection: the client gets no answer to what was done."""
    request.environ["demo.connection"].shutdown(socket.SHUT_RDWR)
