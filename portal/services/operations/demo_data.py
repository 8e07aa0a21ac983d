"""The demo's seed: one tenant per plan, and the demo dashboard's API key."""

from __future__ import annotations

import os
from pathlib import Path

from portal.config import settings
from portal.services.accounts import api_keys, tenants

# external id -> name, plan, locale, timezone
TENANTS = {
    "basil-books": ("Basil Books", "basic", "en", "Europe/London"),
    "nordlicht": ("Nordlicht Keramik", "pro", "de", "Europe/Berlin"),
    "atlas-outdoor": ("Atlas Outdoor", "enterprise", "en", "America/New_York"),
}


def seed() -> None:
    """Create what is missing; what a person has changed in the demo stays."""
    for external_id, (name, plan, locale, timezone) in TENANTS.items():
        if tenants.find(external_id) is None:
            tenants.upsert(external_id, name=name, plan=plan, locale=locale, timezone=timezone)
    key_file = settings().instance_path.resolve() / "demo.env"
    if not _holds_working_key(key_file):
        with open(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(f"DEMO_API_KEY={api_keys.create('demo dashboard')}\n")


def _holds_working_key(key_file: Path) -> bool:
    if not key_file.exists():
        return False
    return api_keys.authenticate(key_file.read_text().partition("=")[2].strip()) is not None
