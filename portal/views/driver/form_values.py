"""What stands in the form of a merchant's own mail service: typed, tested, stored, or filled in for a provider."""

from __future__ import annotations

from dataclasses import dataclass

from flask import g

from portal import encryption, providers
from portal.models import Driver, DriverTest
from portal.providers.base import Provider
from portal.services.drivers import save_gate
from portal.services.drivers.settings import DriverSettings, encryption_of, host_and_port
from portal.transport.mime.addresses import readable_address
from portal.typed import trimmed
from portal.views.driver import texts as driver_texts
from portal.views.driver.form import FIELDS, DriverForm


@dataclass(frozen=True)
class Difference:
    """A field that somebody else has changed meanwhile."""

    field: str
    theirs: str


def kept(form: DriverForm, test: DriverTest | None, driver: Driver | None) -> str:
    """Whose password an empty field stands for: test, driver, or nobody's; lost when it can't be read any more."""
    for name, stored in (("test", test), ("driver", driver)):
        typed = (shown("host", form.host.data or ""), form.username.data or "")
        if stored is not None and (shown("host", stored.host), stored.username) == typed:
            return name if encryption.can_read(stored.secret) else "lost"
    return ""


def typed() -> DriverForm:
    """The form as it was sent; a port that was typed with the server, as help pages name it, is put where it belongs.

    The encryption follows it.
    """
    form = DriverForm()
    host, port = host_and_port(form.host.data or "")
    form.host.data = host
    if port is not None:
        form.port.data = str(port)
        form.encryption.data = encryption_of(port) or form.encryption.data
    return form


def filled(stored: Driver | DriverTest | None, version: int) -> DriverForm:
    """The form as stored, without its password; or empty, with the provider most shops have.

    `version`: the driver's, which Save will name.
    """
    form = DriverForm(formdata=None)
    form.version.data = str(version)
    if stored is None:
        form.from_name.data = g.tenant.name
        choose(form, next(iter(providers.PROVIDERS.values())))
        return form
    form.preset.data = stored.preset
    for name in FIELDS:
        if name != "secret":
            form[name].data = shown(name, getattr(stored, name))
    return form


def shown(name: str, value: object) -> str:
    """A stored setting as its field has it."""
    return readable_address(str(value)) if name in ("host", "from_address") else str(value)


def choose(form: DriverForm, provider: Provider) -> None:
    """Another provider: its server, port and encryption; what belongs to the merchant stays as typed."""
    before = providers.by_host(form.host.data or "")
    form.preset.data = provider.key
    word = provider.sign_in.fixed_username
    if word or form.username.data in {known.sign_in.fixed_username for known in providers.PROVIDERS.values()}:
        form.username.data = word or ""
    if form.host.data and before == provider:
        return  # the same provider: perhaps the server of another region
    port, encryption = provider.endpoints[0]
    form.host.data, form.port.data, form.encryption.data = provider.host, str(port), encryption


def wanted(form: DriverForm) -> DriverSettings:
    """What the form asks for."""
    text = {name: form[name].data or "" for name in ("preset", *FIELDS) if name != "port"}
    return DriverSettings(**text, port=_number(form.port.data, digits=5) or 0)


def seen_version(form: DriverForm) -> int:
    """The driver's version that the page was made from; -1, which none has, for what is no number."""
    version = _number(form.version.data, digits=9)
    return -1 if version is None else version


def _number(text: str | None, *, digits: int) -> int | None:
    """None also for too many digits: int() refuses more than 4,300 of them."""
    text = trimmed(text or "")
    return int(text) if text.isdecimal() and len(text) <= digits else None


def mark_failure(form: DriverForm, test: DriverTest) -> None:
    """The field that has to be changed says so."""
    field = driver_texts.failing_field(test)
    if save_gate.state_of(test) == "failed" and field:
        form.mark(field, driver_texts.failure(test)[0])


def differences(form: DriverForm, driver: Driver | None) -> list[Difference] | None:
    """What somebody else has saved since the page was made; None: nothing was."""
    if form.version.data == str(driver.version if driver else 0):
        return None
    if driver is None:
        return []
    return [
        Difference(name, shown(name, getattr(driver, name)))
        for name in FIELDS
        if name != "secret" and shown(name, getattr(driver, name)) != trimmed(form[name].data or "")
    ]
