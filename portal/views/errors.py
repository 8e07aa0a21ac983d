"""How a refusal looks: a problem document for the API, a page for a person, a banner for a fragment's request."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Any

from flask import Flask, Response, jsonify, make_response, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import BadHost, Forbidden, HTTPException, Unauthorized
from werkzeug.exceptions import NotFound as PageNotFound
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.wrappers import Response as BaseResponse

from portal.models import utcnow
from portal.services.errors import NotFound, PlanLocked, SendLimit
from portal.views import plan_texts
from portal.web.htmx import wants_fragment
from portal.web.i18n import ago, gettext
from portal.web.outage import RETRY_SECONDS, DatabaseAway

log = logging.getLogger("portal.errors")


def document(status: int, title: str, detail: str, **extra: Any) -> dict[str, Any]:
    """An RFC 9457 problem document."""
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, **extra}


def problem(status: int, title: str, detail: str, **extra: Any) -> Response:
    return respond(document(status, title, detail, **extra))


def respond(described: dict[str, Any]) -> Response:
    """The answer that a problem document is; `retry_after` (seconds) becomes the header of that name, too."""
    response = jsonify(described)
    response.status_code = described["status"]
    response.content_type = "application/problem+json"
    if described["status"] == 401:
        response.headers["WWW-Authenticate"] = "Bearer"  # RFC 9110 section 15.5.2
    if "retry_after" in described:
        response.headers["Retry-After"] = str(described["retry_after"])
    return response


# What was committed before the database went away, the same Idempotency-Key finds again.
UNAVAILABLE = document(
    503,
    "Temporarily unavailable",
    "The database can't be used right now. It is safe to send the request again with the same Idempotency-Key.",
    retry_after=RETRY_SECONDS,
)


class PageError(HTTPException):
    """A refusal whose sentence the view knows better than the status code does; `retry_after` is in seconds."""

    def __init__(self, code: int, title: str, text: str, retry_after: int | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.title = title
        self.text = text
        self.retry_after = retry_after

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        later = [("Retry-After", str(self.retry_after))] if self.retry_after is not None else []
        return [*super().get_headers(*args, **kwargs), *later]


def retry_after(limit: SendLimit) -> int:
    """When to come again (RFC 9110, 10.2.3), in seconds."""
    return max(1, ceil((limit.next_at - utcnow()).total_seconds()))


def asked_too_often(response: BaseResponse, limit: SendLimit) -> BaseResponse:
    """The view's own answer to a refusal, which says when to come again."""
    response.headers["Retry-After"] = str(retry_after(limit))
    return response


@dataclass(frozen=True)
class Contact:
    """Where pages send people who need help or a larger plan; all that templates see of the settings."""

    support_email: str
    support_url: str
    pricing_url: str


def init_app(app: Flask) -> None:
    app.register_error_handler(HTTPException, answer)
    app.register_error_handler(PlanLocked, _plan_locked)
    app.register_error_handler(NotFound, _not_found)
    # A global and no context processor, so that imported macros see it too.
    config = app.extensions["settings"]
    app.jinja_env.globals["support"] = Contact(config.support_email, config.support_url, config.pricing_url)


def _plan_locked(error: PlanLocked) -> BaseResponse:
    why = plan_texts.sentence(error.feature)
    return answer(PageError(403, gettext("Not in your plan"), gettext("%(why)s Nothing was changed.", why=why)))


def _not_found(error: NotFound) -> BaseResponse:
    words = {
        "message": (
            gettext("This message isn't in your log"),
            gettext("It may have been removed, or the link is incomplete."),
        ),
        "tenant": (
            gettext("There is no such shop"),
            gettext("The marketplace's id of it may be mistyped. Search for the shop by its name instead."),
        ),
    }
    return answer(PageError(404, *words[error.what]) if error.what in words else PageNotFound())


def answer(error: HTTPException) -> BaseResponse:
    code = error.code or 500
    if isinstance(error, BadHost):  # nothing that has a link can be written without a host
        return Response(_phrase(code), code, content_type="text/plain")
    if error.response is not None and code < 400:
        return error.get_response()  # a redirect that routing raised
    if request.path == "/api" or request.path.startswith("/api/"):
        away = isinstance(error, DatabaseAway)
        described = (
            UNAVAILABLE if away else document(code, _phrase(code), _api_detail(error, code), **_api_extra(error))
        )
        response = respond(described)
    else:
        response = _for_people(error, code)
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = str(value)
    return response


def _described(error: HTTPException, code: int) -> dict[str, Any]:
    if isinstance(error, DatabaseAway):
        return UNAVAILABLE
    return document(code, _phrase(code), _api_detail(error, code), **_api_extra(error))


def _for_people(error: HTTPException, code: int) -> Response:
    title, text = _words(error, code)
    # Which a new launch mends; a refused launch doesn't ask for one by itself, or it would be asked for without end.
    ended = isinstance(error, Unauthorized) and error.description in ("expired", "ended")
    context = {"code": code, "title": title, "text": text, "ended": ended}
    if wants_fragment():
        response = make_response(render_template("errors/_banner.html", **context), code)
        response.headers["HX-Retarget"] = "#notices"
        response.headers["HX-Reswap"] = "innerHTML"
        return response
    return make_response(render_template("errors/page.html", **context), code)


def _words(error: HTTPException, code: int) -> tuple[str, str]:
    """Title and sentence: what happened, and what to do."""
    if isinstance(error, PageError):
        return error.title, error.text
    if isinstance(error, CSRFError):
        return gettext("This page was open for too long"), _reload_page()
    if isinstance(error, Unauthorized) and error.description == "missing":
        return gettext("Please open this page from your dashboard"), gettext(
            "You are not signed in here. Go to your marketplace's dashboard and open Settings, Integrations, "
            "Email configuration."
        )
    if isinstance(error, Forbidden) and error.description == "staff":
        return gettext("This page is for the people of a shop"), gettext(
            "You are signed in as support, which reads the shops' settings and logs and changes nothing in them. "
            "Nothing was changed."
        )
    if isinstance(error, Forbidden) and error.description == "support":
        return gettext("This page is for the marketplace's support"), gettext(
            "Nothing here concerns your shop. Go back to the email settings."
        )
    words = {
        400: (gettext("This request can't be understood"), _reload_page()),
        401: (
            gettext("Your session has ended"),
            gettext(
                "For your safety it ends after a while without activity. Open the settings again from your "
                "marketplace's dashboard."
            ),
        ),
        403: (
            gettext("You may look at this, but not change it"),
            gettext("Nothing was changed. Ask an administrator of your shop to do this, or to give you the right to."),
        ),
        404: (
            gettext("There is nothing at this address"),
            gettext("The link may be incomplete or out of date. Go back to the email settings and start from there."),
        ),
        405: (
            gettext("This address can't be used that way"),
            gettext("Go back to the email settings and start from there."),
        ),
        413: (
            gettext("That was too much at once"),
            gettext("What was sent is larger than this page accepts. Shorten it and try once more."),
        ),
        429: (gettext("Too many attempts"), _wait(getattr(error, "retry_after", None))),
        503: (
            gettext("Temporarily unavailable"),
            gettext(
                "We can't load or save anything right now. Emails that were accepted are safe. Please try again in a "
                "minute."
            ),
        ),
    }
    return words.get(code) or (
        gettext("Something went wrong on our side"),
        gettext("We have written it down. Try once more in a few minutes; if it happens again, please tell support."),
    )


def _wait(seconds: object) -> str:
    if not isinstance(seconds, int):
        return gettext("Please wait a few minutes and try once more.")
    possible = utcnow() + timedelta(seconds=max(seconds, 15))
    return gettext("Nothing was changed. Please try once more %(when)s.", when=ago(possible))


def _reload_page() -> str:
    return gettext("Nothing was changed. Reload the page and try once more.")


def _api_detail(error: HTTPException, code: int) -> str:
    if code >= 500:
        return "The request could not be handled. It is safe to send it again with the same Idempotency-Key."
    return str(error.description or _phrase(code))


def _api_extra(error: HTTPException) -> dict[str, Any]:
    wait = getattr(error, "retry_after", None)
    return {"retry_after": wait} if wait is not None else {}


def _phrase(code: int) -> str:
    return HTTP_STATUS_CODES.get(code, "Error")  # not http.HTTPStatus: Python 3.13 renamed two of them
