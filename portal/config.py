"""Settings: typed PORTAL_* environment variables, read once at start; a wrong one stops it with a sentence."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from flask import current_app
from limits import parse_many
from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict
from redis import Redis

from portal import launch_keys, provider_endpoints, secret_rules
from portal.plan_file import SHIPPED, Plan
from portal.plan_file import load as load_plans
from portal.setting_types import Domains, Listed
from portal.transport.base import Network
from portal.transport.destinations import Policy, is_loopback
from portal.transport.mime.addresses import Mailbox, parse_mailbox
from portal.transport.smtp.account import Account
from portal.transport.smtp.stream import machine_name, public_name


class SettingsError(Exception):
    """The configuration can't be used; its text is one sentence per wrong setting."""


@contextmanager
def stopped_by_wrong_settings() -> Iterator[None]:
    """End the process with the sentences instead of a traceback.

    Exit code 3 tells gunicorn that trying again is no use (its WORKER_BOOT_ERROR).
    """
    try:
        yield
    except SettingsError as error:
        sys.stderr.write(f"Absender can't start:\n{error}\n")
        sys.exit(3)


class Settings(BaseSettings):
    """What an operator can set. Environment variables win over `<instance_path>/portal.env`."""

    model_config = SettingsConfigDict(env_prefix="PORTAL_", extra="ignore", env_ignore_empty=True)

    instance_path: Path = Path("instance")
    demo: bool = False  # bin/run says so; the only place where a placeholder may stand for a secret
    port: int = Field(8000, ge=1, le=65535)

    secret_key: str
    encryption_keys: Listed
    # One of the two: a secret shared with the platform (HS256), or its public keys (ES256, EdDSA, RS256).
    launch_jwks: Path | None = None
    launch_secret: str = Field("", validate_default=True)
    launch_issuer: str = "marketplace"

    database_url: str = ""
    redis_url: str = ""
    base_url: str = ""
    log_format: Literal["text", "json"] = "text"
    metrics_token: str = ""
    trusted_proxies: int = Field(0, ge=0, le=5)
    hsts_seconds: int = Field(0, ge=0, le=2 * 366 * 24 * 3600)  # 0: not told to browsers

    relay: str = ""
    relay_lanes: int = Field(2, ge=1, le=64)
    drains: int = Field(64, ge=1, le=256)  # what one worker process does at a time
    default_sender: str = "Marketplace <notifications@marketplace.example>"
    message_id_domain: str = ""
    # Seconds to wait for the reply to a whole mail; too short makes duplicates (RFC 5321, 4.5.3.2.6).
    smtp_reply_timeout: float = Field(120, ge=1, le=600)
    smtp_idle_seconds: float = Field(10, ge=0, le=120)  # that a connection is kept open after its last mail
    smtp_ca_file: Path | None = None
    ehlo_name: str = ""  # how we greet mail servers; else the machine's name or the portal's own
    smtp_allowed_networks: str = ""
    smtp_allowed_ports: str = ""

    body_retention_days: int = Field(7, ge=0, le=3650)  # after a message's end; never longer than its row
    api_rate: str = "10000/second"  # messages that one API key may hand in
    launch_rate: str = "600/minute"  # launches from one address
    verification_rate: str = "30/minute"  # requests for verification mail of one tenant
    sign_in_rate: str = "30/hour"  # sign-in links asked for from one address
    sign_in_days: int = Field(90, ge=1, le=3650)  # after somebody's last launch, in which mailed links let them in
    test_send_rate: str = "30/minute"  # test sends of one tenant

    provider_endpoints: Path | None = None  # a TOML file of stand-ins for providers' servers
    plans: Path | None = None  # a TOML file like portal/plans.toml, which is the default
    protected_names: Listed = []
    own_domains: Domains = []
    support_email: str = "support@marketplace.example"
    support_url: str = ""
    pricing_url: str = ""

    @field_validator("encryption_keys")
    @classmethod
    def _usable_keys(cls, keys: list[str], info: ValidationInfo) -> list[str]:
        secret_rules.check_fernet_keys(keys, [info.data.get("secret_key", "")], demo=bool(info.data.get("demo")))
        return keys

    @field_validator("launch_jwks")
    @classmethod
    def _are_keys(cls, value: Path | None) -> Path | None:
        try:
            if value is not None:
                launch_keys.load(value)
        except OSError:
            raise ValueError("there is no such file that can be read") from None
        return value

    @field_validator("secret_key", "launch_secret")
    @classmethod
    def _strong_enough(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.field_name == "launch_secret":
            if info.data.get("launch_jwks", ...) is None:
                raise PydanticCustomError("missing", "missing")
            return value
        others = [info.data.get("secret_key", ""), *info.data.get("encryption_keys", [])]
        secret_rules.check_secret(value, others, demo=bool(info.data.get("demo")))
        return value

    @field_validator("metrics_token")
    @classmethod
    def _no_guess(cls, value: str) -> str:
        secret_rules.check_token(value)
        return value

    @field_validator("default_sender")
    @classmethod
    def _is_mailbox(cls, value: str) -> str:
        try:
            parse_mailbox(value)
        except ValueError:
            raise ValueError("must look like: Marketplace <notifications@marketplace.example>") from None
        return value

    @field_validator("database_url")
    @classmethod
    def _is_database(cls, value: str) -> str:
        if value and not value.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://", "postgres://")):
            raise ValueError("must begin with postgresql:// or sqlite:///")
        return value

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, value: str) -> str:
        try:
            if value:
                Redis.from_url(value)
        except ValueError:  # its own words may quote a part of the password
            raise ValueError("must be redis://, rediss:// or unix://; percent-encode / ? # @ in the password") from None
        return value

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, value: str, info: ValidationInfo) -> str:
        if value and not re.fullmatch(r"https?://[^\s/?#@]+/?", value):
            raise ValueError("must be the portal's own address, such as https://mail.marketplace.example")
        is_open = value.startswith("http://") and not info.data.get("demo")
        if is_open and not is_loopback(urlsplit(value).hostname or ""):
            raise ValueError(
                "must begin with https://: mailed links let people in, and http:// is for this machine only"
            )
        return value

    @field_validator("message_id_domain", "ehlo_name")
    @classmethod
    def _is_domain(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", value):
            raise ValueError("must be a domain name")
        return value

    @field_validator("smtp_ca_file", "provider_endpoints", "plans")
    @classmethod
    def _is_file(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if info.field_name == "plans":
            load_plans(value or SHIPPED)
        elif value and info.field_name == "provider_endpoints":
            provider_endpoints.load(value, anywhere=bool(info.data.get("demo")))
        elif value and not value.is_file():
            raise ValueError("there is no such file")
        return value

    @field_validator("relay")
    @classmethod
    def _is_relay(cls, value: str) -> str:
        account = Account.from_url(value) if value else None
        if account and account.password and account.encryption == "none" and not is_loopback(account.host):
            raise ValueError("its password would be sent in the clear: begin with smtp+starttls:// or smtps://")
        return value

    @field_validator("smtp_allowed_networks", "smtp_allowed_ports")
    @classmethod
    def _is_policy(cls, value: str, info: ValidationInfo) -> str:
        try:
            if info.field_name == "smtp_allowed_ports":
                Policy(allowed_ports=_numbers(value))
            else:
                Policy(allowed_networks=_words(value))
        except ValueError:
            raise ValueError("must be networks such as 10.0.0.0/8, or ports, separated by commas") from None
        return value

    @field_validator("api_rate", "launch_rate", "verification_rate", "sign_in_rate", "test_send_rate")
    @classmethod
    def _is_rate(cls, value: str) -> str:
        with suppress(ValueError):
            if [rate.amount >= 1 for rate in parse_many(value)] == [True]:
                return value
        raise ValueError("must be a number and a time, such as 100/second or 50000/hour")

    @model_validator(mode="after")
    def _derive(self) -> Settings:
        instance = self.instance_path.resolve()
        self.database_url = self.database_url or f"sqlite:///{instance / 'portal.db'}"
        # The driver is psycopg 3; operators write the URL that their database's documentation gives them.
        for scheme in ("postgresql://", "postgres://"):
            if self.database_url.startswith(scheme):
                self.database_url = "postgresql+psycopg://" + self.database_url[len(scheme) :]
        self.redis_url = self.redis_url or f"unix://{instance / 'valkey.sock'}"
        self.base_url = (self.base_url or f"http://localhost:{self.port}").rstrip("/")
        self.relay = self.relay or f"smtp://127.0.0.1:{self.port + 3}"
        self.message_id_domain = self.message_id_domain or self.default_mailbox.address.rpartition("@")[2]
        return self

    @cached_property
    def destination_policy(self) -> Policy:
        """What merchants' own servers may be."""
        return Policy(_words(self.smtp_allowed_networks), _numbers(self.smtp_allowed_ports))

    @property
    def network(self) -> Network:
        """How connections to mail servers are made."""
        our_name = self.ehlo_name or machine_name() or public_name(urlsplit(self.base_url).hostname or "")
        return Network(self.destination_policy, str(self.smtp_ca_file) if self.smtp_ca_file else None, our_name)

    @cached_property
    def plans_by_key(self) -> dict[str, Plan]:
        """The plans, the smallest first."""
        return load_plans(self.plans or SHIPPED)

    def __repr_args__(self) -> list[tuple[str | None, object]]:
        return []  # half of them are secrets, or URLs that hold one

    @property
    def is_for_this_machine(self) -> bool:
        """Whether the portal's own address is on loopback: nobody else is meant to come."""
        return is_loopback(urlsplit(self.base_url).hostname or "")

    @property
    def default_mailbox(self) -> Mailbox:
        return parse_mailbox(self.default_sender)

    @property
    def relay_account(self) -> Account:
        return Account.from_url(self.relay)


def _words(value: str) -> list[str]:
    return value.replace(",", " ").split()


def _numbers(value: str) -> list[int]:
    return [int(word) for word in _words(value)]


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; `overrides` win over the environment.

    Raises SettingsError with a sentence per missing or wrong setting.
    """
    instance = Path(overrides.get("instance_path") or os.environ.get("PORTAL_INSTANCE_PATH") or "instance")
    try:
        # The env file's place depends on a setting, so it can't stand in model_config.
        return Settings(_env_file=instance / "portal.env", **overrides)  # type: ignore[call-arg]
    except ValidationError as error:
        raise SettingsError("\n".join(_sentence(e) for e in error.errors(include_url=False))) from None


def _sentence(error: Any) -> str:
    """One sentence for the operator; never the value, which may be a secret."""
    name = "PORTAL_" + str(error["loc"][0]).upper() if error["loc"] else "PORTAL_*"
    if error["type"] == "missing":
        return f"{name} is not set; bin/run writes one into instance/portal.env for a trial, a deployment sets its own."
    return f"{name} can't be used: {error['msg'].removeprefix('Value error, ')}."


def settings() -> Settings:
    """The running application's settings."""
    return cast(Settings, current_app.extensions["settings"])
