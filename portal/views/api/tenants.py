"""`PUT /api/v1/tenants/{tenant}`: the platform creates a tenant or brings it up to date."""

from __future__ import annotations

from flask import Blueprint, abort, g, jsonify
from flask.typing import ResponseReturnValue

from portal.models import Tenant
from portal.models.api_key import Scope
from portal.services import audit
from portal.services.accounts import tenants
from portal.services.errors import InvalidField
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
    ("name", "not_a_name"): "A name has 1 to 200 printable characters.",
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
    if not g.api_key.covers(tenant):  # before the first look at it: the answer must not tell whether it exists
        abort(respond(PROBLEMS["other_tenant"]))
    wanted = parsing.read(TenantRequest)
    try:
        row, created = tenants.upsert(tenant, **wanted.model_dump(), by=audit.by_api_key(g.api_key.name))
    except InvalidField as error:
        parsing.refuse([(error.field, _SENTENCES[error.field, error.reason])])
    return jsonify(_shown(row)), 201 if created else 200


def _shown(tenant: Tenant) -> TenantShown:
    limit = daily_limit.status(tenant)
    return {
        "tenant": tenant.external_id,
        "name": tenant.name,
        "plan": tenant.plan,
        "locale": tenant.locale,
        "timezone": tenant.timezone,
        "frame_ancestors": tenant.frame_ancestors,
        "mails_per_day": limit.limit,
        "mails_today": limit.used,
    }
