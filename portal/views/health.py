"""Whether the process is alive, and whether it can serve."""

from __future__ import annotations

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from portal import queue
from portal.access import access
from portal.services import readiness

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@access("public")
def healthz() -> ResponseReturnValue:
    return jsonify(status="alive")


@blueprint.get("/readyz")
@access("public")
def readyz() -> ResponseReturnValue:
    """Ready without Redis: mail is accepted all the same, and the clock sends it once Redis is back."""
    database = readiness.database_answers()
    answer = {"status": "ready" if database else "not ready", "database": database, "redis": queue.is_alive()}
    return jsonify(answer), 200 if database else 503
