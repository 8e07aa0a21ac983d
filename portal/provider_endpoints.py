"""Stand-ins for providers' servers: a TOML file, PORTAL_PROVIDER_ENDPOINTS, with a table of URLs per provider."""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from portal.providers import PROVIDERS

Endpoints = dict[str, dict[str, str]]  # provider -> what for -> URL


def load(path: Path, *, anywhere: bool = False) -> Endpoints:
    """The URLs by provider and use, on loopback unless `anywhere`. Raises ValueError with a sentence."""
    try:
        found = TypeAdapter(Endpoints).validate_python(tomllib.loads(path.read_text()), strict=True)
    except OSError:
        raise ValueError(f"the file {path} can't be read") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name} is no TOML: {error}") from None
    except ValidationError:
        raise ValueError(f'{path.name} must hold tables of URLs, such as: [gmail] token = "http://..."') from None
    if unknown := sorted(found.keys() - PROVIDERS.keys()):
        raise ValueError(f"{path.name}: there is no provider {', '.join(unknown)}")
    for provider, urls in found.items():
        for use, url in urls.items():
            if not _is_usable(url, anywhere):
                raise ValueError(
                    f"{path.name}: {provider}.{use} must be a URL" + ("" if anywhere else " on this machine (loopback)")
                )
    return found


def _is_usable(url: str, anywhere: bool) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        if parts.scheme not in ("http", "https", "smtp", "smtps") or not host:
            return False
        return anywhere or host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
