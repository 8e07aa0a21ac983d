"""What several tests of services need."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask

from tests.transport.scripted_server import ScriptedServer


@pytest.fixture
def relay_to(ctx: Flask) -> Callable[[ScriptedServer], None]:
    """Point the relay at a scripted server."""

    def point(server: ScriptedServer) -> None:
        ctx.extensions["settings"].relay = f"smtp://127.0.0.1:{server.port}"

    return point
