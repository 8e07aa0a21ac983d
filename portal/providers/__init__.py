"""The providers that merchants send through: one module each, found by being in this folder."""

import re
from importlib import import_module
from pkgutil import iter_modules

from portal.providers.base import Group, Provider
from portal.typed import trimmed


def _load() -> dict[str, Provider]:
    """All by their keys, in the order of the page."""
    names = [module.name for module in iter_modules(__path__) if module.name != "base"]
    found: list[Provider] = [import_module(f"{__name__}.{name}").PROVIDER for name in names]
    groups = list(Group)
    found.sort(key=lambda provider: (groups.index(provider.group), provider.place, provider.name.lower()))
    return {provider.key: provider for provider in found}


PROVIDERS = _load()
OTHER = PROVIDERS["other"]


def by_key(key: str | None) -> Provider:
    """The provider of this key, else `other`."""
    return PROVIDERS.get(key or "", OTHER)


def by_host(host: str) -> Provider:
    """The provider of a host, so that one typed under "other" gets its provider's pace too; else `other`."""
    name = trimmed(host).rstrip(".").lower()[:254]  # longer than a name can be
    return next((provider for provider in PROVIDERS.values() if re.fullmatch(provider.hosts, name)), OTHER)
