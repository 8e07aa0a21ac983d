"""The plans a tenant can be on."""

from __future__ import annotations

PLANS = ("basic", "pro", "enterprise")
LOCALES = ("en", "de")
