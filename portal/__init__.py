"""Absender: merchants decide from whom their e-mail comes; the engine sends it and shows what became of each."""

from __future__ import annotations

from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix
from whitenoise import WhiteNoise

from portal import access, assets, cli, errors, extensions, i18n, queue, request_log, security_headers, templating
from portal.config import load_settings
from portal.views import driver, email_settings, health, launch, logs, preferences, verify
from portal.views.api import messages, tenants

_MAX_REQUEST_BYTES = 15 * 1024 * 1024


def create_app(**overrides: Any) -> Flask:
    """Make the application; `overrides` win over the PORTAL_* environment. Raises SettingsError."""
    settings = load_settings(**overrides)
    app = Flask(__name__, instance_path=str(settings.instance_path.resolve()))
    app.extensions["settings"] = settings
    templating.use_in(app)
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=extensions.engine_options(settings.database_url),
        MAX_CONTENT_LENGTH=_MAX_REQUEST_BYTES,
        # Forms are small; only the API takes bodies of megabytes, and it reads JSON.
        MAX_FORM_MEMORY_SIZE=500_000,
    )
    for part in (extensions, queue, i18n, access, assets, security_headers, errors, request_log, cli):
        part.init_app(app)
    for view in (launch, email_settings, driver, logs, verify, preferences, health, tenants, messages):
        app.register_blueprint(view.blueprint)
    app.wsgi_app = WhiteNoise(  # type: ignore[method-assign]
        app.wsgi_app, root=app.static_folder, prefix="static/", autorefresh=app.debug, max_age=3600
    )
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    return app
