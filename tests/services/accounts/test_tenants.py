"""Tenants: created and changed by the platform, a field at a time."""

from typing import Any

import pytest
from flask import Flask

from portal.services.accounts import tenants
from portal.services.errors import InvalidField


def test_what_is_not_named_stays_as_it_is(ctx: Flask) -> None:
    tenants.upsert("acme", name="Acme", plan="pro", timezone="Europe/Berlin", frame_ancestors=["https://A.example/"])
    tenant, created = tenants.upsert("acme", locale="de")
    assert not created
    assert (tenant.name, tenant.plan, tenant.timezone, tenant.locale) == ("Acme", "pro", "Europe/Berlin", "de")
    assert tenant.frame_ancestors == ["https://a.example"]


@pytest.mark.parametrize(("asked", "kept"), [("de-AT", "de"), ("DE_de", "de"), ("en-GB", "en"), ("fr", "en")])
def test_the_nearest_language_that_the_pages_speak_is_taken(ctx: Flask, asked: str, kept: str) -> None:
    assert tenants.upsert("acme", name="Acme", locale=asked)[0].locale == kept


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"plan": "platinum"}, "plan"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"frame_ancestors": ["*"]}, "frame_ancestors"),
        ({"frame_ancestors": ["https://a.example; script-src *"]}, "frame_ancestors"),
        ({"frame_ancestors": ["https://a.example"] * 21}, "frame_ancestors"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_created(ctx: Flask, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidField) as refused:
        tenants.upsert("acme", **({"name": "Acme"} | fields))
    assert refused.value.field == field
    assert tenants.find("acme") is None


def test_a_new_tenant_needs_a_name(ctx: Flask) -> None:
    with pytest.raises(InvalidField):
        tenants.upsert("acme", plan="pro")
