"""The demo's seed."""

from flask import Flask

from portal.config import settings
from portal.services.accounts import tenants
from portal.services.operations import demo_data


def test_a_second_seed_changes_nothing(ctx: Flask) -> None:
    demo_data.seed()
    file = settings().instance_path / "demo.env"
    key = file.read_text()
    tenants.upsert("basil-books", name="Renamed", plan="pro")
    demo_data.seed()
    shop = tenants.find("basil-books")
    assert shop and shop.name == "Renamed" and file.read_text() == key
    assert file.stat().st_mode & 0o077 == 0
