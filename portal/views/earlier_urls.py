"""Addresses that pages had in the version before: they lead to today's for one release (0.2)."""

from __future__ import annotations

from urllib.parse import quote

from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response

from portal.web.access import access

blueprint = Blueprint("earlier_urls", __name__)

_TODAYS = {
    "/settings/users": "/settings/people",
    "/settings/email/driver": "/settings/email/service",
    "/support/tenants/<tenant_id>/users": "/support/tenants/<tenant_id>/people",
    "/support/tenants/<tenant_id>/driver": "/support/tenants/<tenant_id>/service",
}


@access("public")
def to_todays(rest: str = "", tenant_id: str = "") -> Response:
    rule = str(request.url_rule)
    todays = next(new for earlier, new in _TODAYS.items() if rule.startswith(earlier))
    path = todays.replace("<tenant_id>", quote(tenant_id, safe="")) + (rest and f"/{quote(rest)}")
    query = f"?{request.query_string.decode()}" if request.query_string else ""
    return redirect(f"{request.script_root}{path}{query}")


@access("support")
def to_support(tenant_id: str, rest: str = "") -> Response:
    """The same below /support, which has an address for nobody else."""
    return to_todays(rest, tenant_id)


for earlier in _TODAYS:
    for rule in (earlier, f"{earlier}/<path:rest>"):
        blueprint.add_url_rule(rule, view_func=to_support if earlier.startswith("/support") else to_todays)
