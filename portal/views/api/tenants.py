"""The platform creates a tenant, brings it up to date, suspends it, and removes people of it."""

from __future__ import annotations

from flask import Blueprint, abort, g, jsonify
from flask.typing import ResponseReturnValue

from portal.models import Tenant
from portal.models.api_key import Scope
from portal.services import audit
from portal.services.accounts import people, tenants
from portal.services.accounts.launches import is_subject
from portal.services.errors import InvalidField, NotFound
from portal.services.routing import daily_limit
from portal.views.api import parsing
from portal.views.api.problems import PROBLEMS
from portal.views.api.schemas import TenantRequest, TenantShown
from portal.views.errors import respond
from portal.web import rate_limits
from portal.web.access import access
from portal.web.rate_limits import limited

blueprint = Blueprint("api_tenants", __name__, url_prefix="/api/v1")

_SENTENCES = {
    ("tenant", "not_an_id"): "A tenant's id has 1 to 100 letters, digits, dots, colons, hyphens or underscores, and "
    "begins with a letter or digit.",
    ("name", "missing"): "A new tenant needs a name.",
    ("name", "not_a_name"): "A name is one line of 1 to 200 characters that can be seen.",
    ("plan", "unknown"): "There is no such plan; PORTAL_PLANS names those that there are.",
    ("timezone", "unknown"): "The timezone must be a name of the IANA database, such as Europe/Berlin.",
    (
        "frame_ancestors",
        "not_an_origin",
    ): "Each entry must be an origin, such as https://dashboard.example; at most 20.",
}


@blueprint.put("/tenants/<tenant>")
@access("api_key", scope=Scope.MANAGE)
@limited(rate_limits.API)
def put_tenant(tenant: str) -> ResponseReturnValue:
    _require_tenant(tenant)
    wanted = parsing.read(TenantRequest)
    try:
        row, created = tenants.upsert(tenant, **wanted.model_dump(), by=audit.by_api_key(g.api_key.name))
    except InvalidField as error:
        parsing.refuse([(error.field, _SENTENCES[error.field, error.reason])])
    return jsonify(_shown(row)), 201 if created else 200


# A subject is the platform's own, and may have slashes.
@blueprint.delete("/tenants/<tenant>/users/<path:sub>", merge_slashes=False)
@access("api_key", scope=Scope.MANAGE)
@limited(rate_limits.API)
def delete_user(tenant: str, sub: str) -> ResponseReturnValue:
    _require_tenant(tenant)
    row = tenants.find(tenant)
    try:
        if row is None or not is_subject(sub):
            raise NotFound
        people.remove_for_platform(row, audit.by_api_key(g.api_key.name), sub)
    except NotFound:
        abort(respond(PROBLEMS["no_user"]))
    return "", 204


def _require_tenant(tenant: str) -> None:
    """The key must be for it; before the first look at it, because the answer must not tell whether it exists."""
    if not g.api_key.covers(tenant):
        abort(respond(PROBLEMS["other_tenant"]))


def _shown(tenant: Tenant) -> TenantShown:
    limit = daily_limit.status(tenant)
    return {
        "tenant": tenant.external_id,
        "name": tenant.name,
        "plan": tenant.plan,
        "locale": tenant.locale,
        "timezone": tenant.timezone,
        "frame_ancestors": tenant.frame_ancestors,
        "state": tenant.state,
        "mails_per_day": limit.limit,
        "mails_today": limit.used,
    }
