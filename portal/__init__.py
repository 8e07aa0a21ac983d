"""Absender: merchants decide from whom their e-mail comes; the engine sends it and shows what became of each."""

from __future__ import annotations

from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix
from whitenoise import WhiteNoise

from portal import cli, extensions, log_format, redis_client
from portal.config import load_settings
from portal.db import clock, prepared, sqlite
from portal.services import message_state, outcome_log
from portal.views import earlier_urls, errors, health, launch, preferences, sign_in, support, verify
from portal.views.activity import page as activity
from portal.views.api import messages, openapi, tenants
from portal.views.driver import page as driver
from portal.views.log import export as log_export
from portal.views.log import page as log
from portal.views.log import send_again
from portal.views.people import page as people
from portal.views.sender import page as sender
from portal.web import (
    access,
    assets,
    i18n,
    incoming,
    outage,
    rate_limits,
    request_log,
    security_headers,
    templating,
    urls,
)

_MAX_REQUEST_BYTES = 15 * 1024 * 1024  # 10 MB of attachments are 14 in base64


def create_app(**overrides: Any) -> Flask:
    """Make the application; `overrides` win over the PORTAL_* environment. Raises SettingsError."""
    settings = load_settings(**overrides)
    app = Flask(__name__, instance_path=str(settings.instance_path.resolve()))
    app.extensions["settings"] = settings
    # No view of ours is a coroutine; Flask would ask that nine times in each request.
    app.ensure_sync = lambda view: view  # type: ignore[method-assign, assignment]
    templating.use_in(app)
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=extensions.engine_options(settings.database_url),
        MAX_CONTENT_LENGTH=_MAX_REQUEST_BYTES,
        # Forms are small; only calls that hand in mail take bodies of megabytes, and they read JSON.
        MAX_FORM_MEMORY_SIZE=500_000,
    )
    parts = (
        log_format, extensions, sqlite, prepared, clock, redis_client, rate_limits, i18n, access, incoming, assets,
        security_headers, urls, errors, outage, request_log, cli,
    )  # fmt: skip
    for part in parts:
        part.init_app(app)
    views = (
        launch, sender, driver, log, log_export, send_again, verify, preferences, health, tenants, messages,
        openapi, activity, sign_in, people, support, earlier_urls,
    )  # fmt: skip
    message_state.subscribe(outcome_log.write)
    for view in views:
        app.register_blueprint(view.blueprint)
    if not app.debug:  # it would serve the compressed copies that bin/setup made of older files
        app.wsgi_app = WhiteNoise(  # type: ignore[method-assign]
            app.wsgi_app, root=app.static_folder, prefix="static/", max_age=3600
        )
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    return app
