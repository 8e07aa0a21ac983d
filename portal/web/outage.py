"""What becomes of a request that meets a database that is away: no defect of ours, and worth asking again soon."""

from __future__ import annotations

from typing import cast

from flask import Flask, Response, current_app, g, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.wrappers import Response as BaseResponse

from portal.db.away import Outage, is_away
from portal.db.transaction import end_session
from portal.extensions import db
from portal.models import User
from portal.web import session as sessions
from portal.web.access import declared
from portal.web.i18n import speak

RETRY_SECONDS = 10


class DatabaseAway(ServiceUnavailable):
    """The request may be sent again; `retry_after` is in seconds."""

    def __init__(self) -> None:
        super().__init__(retry_after=RETRY_SECONDS)


def init_app(app: Flask) -> None:
    app.extensions["portal_outage"] = Outage()
    app.register_error_handler(SQLAlchemyError, _met)
    with app.app_context():
        app.register_error_handler(db.engine.dialect.loaded_dbapi.Error, _met)  # the pool raises the driver's own

    # Before the extension's own, which would have a request that is answered already end by an error.
    app.teardown_appcontext(lambda _: end_session())

    @app.after_request
    def note_success(response: Response) -> Response:
        outage = _outage()
        if outage.is_on and response.status_code < 400 and _has_asked():
            outage.worked()
        return response


def _outage() -> Outage:
    return cast(Outage, current_app.extensions["portal_outage"])


def _has_asked() -> bool:
    """Whether the request has asked the database for whoever sent it."""
    rule = declared(request.endpoint) if request.endpoint else None
    return rule is not None and rule.rule not in ("public", "operator")


def _met(error: Exception) -> BaseResponse:
    if not is_away(error):
        raise error
    _outage().met(error)
    # The answer is written without the database: after a roll-back every row would ask it again.
    user = g.pop("user", None)
    g.pop("tenant", None)
    chosen = vars(user).get("locale") if isinstance(user, User) else getattr(user, "locale", None)
    speak(chosen or _told_language())
    return current_app.make_response(current_app.handle_user_exception(DatabaseAway()))


def _told_language() -> str | None:
    try:
        return sessions.presented()[0].locale
    except sessions.SessionRefused:
        return None
