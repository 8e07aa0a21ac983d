"""Static files carry a digest of their content in their address: a new version is never mixed with a cached old one."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask, request, url_for


def init_app(app: Flask) -> None:
    folder = Path(app.static_folder or "")

    kept = 0 if app.debug else 128  # none while files are being edited

    @lru_cache(maxsize=kept)
    def digest(filename: str) -> str | None:
        file = folder / filename
        return hashlib.sha256(file.read_bytes()).hexdigest()[:12] if file.is_file() else None

    @lru_cache(maxsize=kept)
    def address(filename: str, root: str) -> str:
        return url_for("static", filename=filename)

    # A page names six of them; an address is the same for all who come by the same mount point.
    app.jinja_env.globals["asset"] = lambda filename: address(filename, request.script_root)

    @app.url_defaults
    def add_digest(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            values["v"] = digest(values["filename"])
