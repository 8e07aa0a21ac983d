"""The providers whose APIs take our mail. A new one is a module beside this, and a name here."""

from __future__ import annotations

from portal.transport.http import gmail, graph
from portal.transport.http.service import Service

SERVICES: dict[str, Service] = {service.key: service for service in (gmail.SERVICE, graph.SERVICE)}
