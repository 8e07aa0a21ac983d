"""Shops with mail services of their own, and the server that stands for all these services."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from portal import encryption
from portal.db.transaction import transaction
from portal.models import Driver, Lane, User
from portal.services.accounts import tenants
from portal.services.drivers.settings import DriverSettings
from tests.bench.processes import Place, serving
from tests.support.ports import free_port
from tests.support.processes import python

_PASSWORD = "as its provider shows it"


class Certificate:
    """One for 127.0.0.1 (its key is on an elliptic curve, so a handshake costs the server little), and its CA."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca_file, self.file = folder / "ca.pem", folder / "service.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(self.file))

    @contextmanager
    def service(self, hangs_at: str = "") -> Iterator[Place]:
        """The shops' mail service; `hangs_at` as in peers/shop_server.py."""
        port = free_port()
        command = python("-m", "tests.bench.peers.shop_server", str(port), str(self.file), hangs_at)
        with serving(command, port) as process:
            yield Place(port, process)

    def allowing(self, *ports: int) -> dict[str, object]:
        """The settings of an operator who lets shops use these ports of this machine."""
        return {
            "smtp_ca_file": self.ca_file,
            "smtp_allowed_networks": "127.0.0.0/8",
            "smtp_allowed_ports": ",".join(map(str, ports)),
        }


def account(name: str, port: int) -> DriverSettings:
    """A shop's account, as a person would type it."""
    return DriverSettings(
        "other", "127.0.0.1", port, "starttls", f"{name}@shop.example", _PASSWORD, f"{name}@shop.example", "Shop"
    )


def open_shops(prefix: str, count: int, port: int = 0) -> list[str]:
    """Create tenants with a person each, and with a driver and its lane if there is a port; their platform's ids.

    Within the application's context. The drivers' tests are left out.
    """
    names = [f"{prefix}-{number}" for number in range(count)]
    for name in names:
        with transaction() as session:
            tenant = tenants.upsert(name, name=name.title(), plan="enterprise")[0]
            session.add(User(tenant_id=tenant.id, subject=name, email=f"{name}@people.example", role="admin"))
            if port:
                stored = vars(account(name, port)) | {"secret": encryption.encrypt(_PASSWORD)}
                driver = Driver(tenant_id=tenant.id, **stored)
                session.add(driver)
                session.flush()
                session.add(Lane(route=driver.route))
                tenant.sender_mode = "driver"
    return names
