"""The settings of a driver as a person types them: cleaned, checked, and a fingerprint over what a test proves."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import re
from dataclasses import dataclass, field, replace

from sqlalchemy import select

from portal import encryption, providers
from portal.config import settings
from portal.extensions import db
from portal.models import Driver, DriverTest, Tenant
from portal.services import sender_rules
from portal.services.errors import InvalidField, InvalidFields
from portal.transport.destinations import MAIL_PORTS
from portal.transport.mime import names
from portal.transport.mime.addresses import MAX_DOMAIN, InvalidAddress, ascii_domain
from portal.transport.smtp.account import Account, Encryption
from portal.typed import trimmed

MAX_SECRET = 512  # characters; the longest keys of providers known are below 200
# Where TLS begins with the connection; at all other mail ports it begins by STARTTLS.
TLS_PORTS = {
    endpoint.port for known in providers.PROVIDERS.values() for endpoint in known.endpoints
    if endpoint.encryption == "tls"
}  # fmt: skip
# What decides whether a server accepts our mail: a test of one of these says nothing about another.
TESTED = ("host", "port", "encryption", "username", "secret", "from_address")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# A server as some help pages name it: "smtp.gmail.com:465", "[::1]:587", "smtps://smtp.gmail.com:465/".
_WITH_PORT = re.compile(
    r"(?:(?P<scheme>smtps?)://)?(?:\[(?P<literal>[0-9a-f:.]+)\]|(?P<name>[^\s:/\[\]]+))"
    r"(?:\s*:\s*(?P<port>[0-9]{1,5}))?\s*/?",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True)
class DriverSettings:
    """One SMTP account; `secret` empty means the one that is stored."""

    preset: str
    host: str
    port: int
    encryption: str  # tls, starttls
    username: str
    secret: str = field(repr=False)
    from_address: str
    from_name: str

    def account(self) -> Account:
        encryption: Encryption = "tls" if self.encryption == "tls" else "starttls"  # never in the clear
        return Account(self.host, self.port, encryption, self.username, self.secret)

    def fingerprint(self, tenant: Tenant) -> str:
        """A keyed digest over exactly what a test proves (HMAC-SHA256, RFC 2104)."""
        tested = json.dumps([tenant.id, *(getattr(self, name) for name in TESTED)]).encode()
        key = hashlib.sha256(b"driver-fingerprint:" + settings().secret_key.encode()).digest()
        return hmac.new(key, tested, hashlib.sha256).hexdigest()

    def are_of(self, stored: Driver, tenant: Tenant) -> bool:
        """Whether a test of these proves the stored ones; nobody can tell when their password can't be read."""
        try:
            return of(stored).fingerprint(tenant) == self.fingerprint(tenant)
        except encryption.Unreadable:
            return False

    def cleaned(self, tenant: Tenant) -> DriverSettings:
        """Trimmed and checked. Raises InvalidFields with every field that can't be used."""
        provider = providers.by_key(self.preset)
        # Whose server it is says what its passwords look like, whichever provider was chosen on the page.
        asked = providers.by_host(self.host)
        sign_in = (provider if asked == providers.OTHER else asked).sign_in
        clean = replace(
            self, preset=provider.key, host=trimmed(self.host).rstrip("."), username=trimmed(self.username),
            secret=sign_in.pasted(self.secret),
        )  # fmt: skip
        errors: list[tuple[str, str]] = []
        for check in (_host, _port, _username, _secret, _from_address, _from_name):
            try:
                clean = check(clean, tenant)
            except InvalidField as refused:
                errors += refused.errors
        if errors:
            raise InvalidFields(errors)
        return clean


def host_and_port(typed: str) -> tuple[str, int | None]:
    """The server's name alone, and the port that was typed with it; smtps without one means 465 (RFC 8314)."""
    typed = trimmed(typed)
    found = _WITH_PORT.fullmatch(typed) if len(typed) <= MAX_DOMAIN + 20 else None
    if found is None:
        return typed, None
    implied = 465 if (found["scheme"] or "").lower() == "smtps" else None
    return found["literal"] or found["name"], int(found["port"]) if found["port"] else implied


def encryption_of(port: int) -> str | None:
    """The encryption that belongs to a port of mail; None for any other."""
    return None if port not in MAIL_PORTS else "tls" if port in TLS_PORTS else "starttls"


def of(stored: Driver | DriverTest) -> DriverSettings:
    """The stored settings, secret included. Raises encryption.Unreadable."""
    return DriverSettings(
        preset=stored.preset,
        host=stored.host,
        port=stored.port,
        encryption=stored.encryption,
        username=stored.username,
        secret=encryption.decrypt(stored.secret),
        from_address=stored.from_address,
        from_name=stored.from_name,
    )


def _host(s: DriverSettings, tenant: Tenant) -> DriverSettings:
    if not s.host:
        raise InvalidField("host", "empty")
    if len(s.host) > MAX_DOMAIN:  # before any pattern: what is typed here may have a megabyte
        raise InvalidField("host", "not_a_host")
    if _SCHEME.match(s.host) or (re.search(r"[/\\?#@\s:]", s.host) and not _is_ipv6(s.host)):
        raise InvalidField("host", "not_a_host")
    if _is_ipv6(s.host) or re.fullmatch(r"[0-9.]+|[a-zA-Z0-9-]{1,63}", s.host):
        return s  # an address, or a name of one label; whether it may be dialled is the destination's business
    try:
        return replace(s, host=ascii_domain(s.host))
    except InvalidAddress:
        raise InvalidField("host", "not_a_host") from None


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.IPv6Address(host).scope_id is None
    except ValueError:
        return False


def _port(s: DriverSettings, tenant: Tenant) -> DriverSettings:
    if s.port not in settings().destination_policy.allowed_ports:
        raise InvalidField("port", "not_a_mail_port")
    if s.encryption not in ("tls", "starttls"):
        raise InvalidField("encryption", "unknown")
    if encryption_of(s.port) not in (None, s.encryption):
        raise InvalidField("encryption", "contradicts_port")
    provider = providers.by_key(s.preset)
    offered = {endpoint.port for endpoint in provider.endpoints}
    if provider != providers.OTHER and s.port in MAIL_PORTS and s.port not in offered:
        raise InvalidField("port", "not_offered")
    return s


def _username(s: DriverSettings, tenant: Tenant) -> DriverSettings:
    if not s.username:
        raise InvalidField("username", "empty")
    if len(s.username) > 320 or _CONTROL.search(s.username):
        raise InvalidField("username", "unusable")
    return s


def _secret(s: DriverSettings, tenant: Tenant) -> DriverSettings:
    if len(s.secret) > MAX_SECRET:
        raise InvalidField("secret", "too_long")
    if _CONTROL.search(s.secret):
        raise InvalidField("secret", "unusable")
    return s


def _from_address(s: DriverSettings, tenant: Tenant) -> DriverSettings:
    try:
        return replace(s, from_address=sender_rules.check_address(s.from_address))
    except InvalidAddress as error:
        return _unless_stored(s, "from_address", tenant, error)


def _from_name(s: DriverSettings, tenant: Tenant) -> DriverSettings:
    name = s.from_name if s.from_name.strip() else names.shown(tenant.name)
    try:
        return replace(s, from_name=sender_rules.check_name(name))
    except InvalidAddress as error:
        return _unless_stored(s, "from_name", tenant, error)


def _unless_stored(s: DriverSettings, name: str, tenant: Tenant, error: InvalidAddress) -> DriverSettings:
    """A sender from before the rule stays usable until it is edited: a new password must get its mail going again."""
    same = select(Driver.id).where(Driver.tenant_id == tenant.id, getattr(Driver, name) == getattr(s, name))
    if getattr(s, name) and db.session.scalar(same) is not None:
        return s
    raise InvalidField(name, error.reason) from None
