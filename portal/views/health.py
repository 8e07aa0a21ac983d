"""Whether the process is alive, whether it can serve, and the figures for Prometheus."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify
from flask.typing import ResponseReturnValue

from portal import redis_client
from portal.services.operations import metrics, readiness
from portal.web.access import access

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
    answer = {"status": "ready" if database else "not ready", "database": database, "redis": redis_client.is_alive()}
    return jsonify(answer), 200 if database else 503


@blueprint.get("/metrics")
@access("operator")
def figures() -> ResponseReturnValue:
    return Response(metrics.text(), content_type=metrics.CONTENT_TYPE)
