"""Settings: typed, from the environment or instance/portal.env; a wrong one stops the start with a sentence."""

import base64
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from portal.config import Settings, SettingsError, load_settings
from portal.transport.smtp.stream import machine_name
from tests.conftest import SECRETS
from tests.support.processes import ROOT

pytestmark = pytest.mark.any_database


def test_the_embedded_default_lies_in_the_instance_folder(tmp_path: Path) -> None:
    settings = load_settings(instance_path=tmp_path, **SECRETS)
    assert settings.database_url == f"sqlite:///{tmp_path}/portal.db"
    assert settings.redis_url == f"unix://{tmp_path}/valkey.sock"
    assert settings.base_url == "http://localhost:8000"
    assert settings.relay_account.port == 8003


def test_the_port_moves_the_addresses_that_depend_on_it(tmp_path: Path) -> None:
    settings = load_settings(instance_path=tmp_path, port=9000, **SECRETS)
    assert (settings.base_url, settings.relay_account.port) == ("http://localhost:9000", 9003)


@pytest.mark.parametrize(
    ("machine", "base_url", "named", "name"),
    [
        ("mail3.marketplace.example.com", "https://portal.example.net", "", "mail3.marketplace.example.com"),
        ("ip-10-0-0-7.ec2.internal", "https://portal.example.net", "", "portal.example.net"),
        ("worker-7", "https://portal.example.net", "", "portal.example.net"),
        ("worker.local", "http://localhost:8000", "", None),
        ("worker.local", "https://192.0.2.7", "", None),
        ("mail3.marketplace.example.com", "https://portal.example.net", "out.example.net", "out.example.net"),
    ],
)
def test_mail_servers_are_greeted_by_a_name_that_they_can_look_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, base_url: str, named: str, name: str | None
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: machine)
    machine_name.cache_clear()
    settings = load_settings(instance_path=tmp_path, base_url=base_url, ehlo_name=named, **SECRETS)
    assert settings.network.local_hostname == name
    machine_name.cache_clear()


def test_secrets_have_no_default(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as error:
        load_settings(instance_path=tmp_path)
    for name in ("PORTAL_SECRET_KEY", "PORTAL_LAUNCH_SECRET", "PORTAL_ENCRYPTION_KEYS"):
        assert f"{name} is not set" in str(error.value)


def test_the_instances_file_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "portal.env").write_text("PORTAL_SUPPORT_EMAIL=file@a.example\nPORTAL_LAUNCH_ISSUER=file\n")
    monkeypatch.setenv("PORTAL_SUPPORT_EMAIL", "environment@a.example")
    settings = load_settings(instance_path=tmp_path, **SECRETS)
    assert (settings.support_email, settings.launch_issuer) == ("environment@a.example", "file")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"secret_key": "short-secret"}, "PORTAL_SECRET_KEY"),
        ({"encryption_keys": "not-a-key"}, "PORTAL_ENCRYPTION_KEYS"),
        ({"encryption_keys": ""}, "PORTAL_ENCRYPTION_KEYS"),
        ({"port": "http"}, "PORTAL_PORT"),
        ({"port": 70000}, "PORTAL_PORT"),
        ({"relay": "http://mail"}, "PORTAL_RELAY"),
        ({"relay": "smtp://user:hunter2@mail:port"}, "PORTAL_RELAY"),
        ({"default_sender": "Marketplace"}, "PORTAL_DEFAULT_SENDER"),
        ({"relay_lanes": 0}, "PORTAL_RELAY_LANES"),
        ({"database_url": "nonsense"}, "PORTAL_DATABASE_URL"),
        ({"database_url": "mysql://root:hunter2@db/x"}, "PORTAL_DATABASE_URL"),
        ({"redis_url": "nonsense"}, "PORTAL_REDIS_URL"),
        ({"redis_url": "redis://:hunter2/x@redis:6379/0"}, "PORTAL_REDIS_URL"),
        ({"base_url": "mail.marketplace.example"}, "PORTAL_BASE_URL"),
        ({"message_id_domain": "a.example\r\nBcc: x"}, "PORTAL_MESSAGE_ID_DOMAIN"),
        ({"own_domains": "marketplace.example, hunter2"}, "PORTAL_OWN_DOMAINS"),
        ({"smtp_ca_file": "/nowhere/ca.pem"}, "PORTAL_SMTP_CA_FILE"),
        ({"metrics_token": "hunter2"}, "PORTAL_METRICS_TOKEN"),
        ({"log_format": "hunter2"}, "PORTAL_LOG_FORMAT"),
    ],
)
def test_a_wrong_setting_is_named_and_never_quoted(tmp_path: Path, change: dict[str, Any], name: str) -> None:
    with pytest.raises(SettingsError) as error:
        load_settings(**({"instance_path": tmp_path} | SECRETS | change))
    assert str(error.value).startswith(name) and "\n" not in str(error.value)
    for secret in ("hunter2", "short-secret", "not-a-key"):
        assert secret not in str(error.value)


@pytest.mark.parametrize("name", ["secret_key", "launch_secret"])
@pytest.mark.parametrize("secret", ["change-me", "CHANGEME", "your_secret", "demo-secret", "insecure", "example key"])
def test_a_secret_that_stands_in_examples_is_for_the_demo_only(tmp_path: Path, name: str, secret: str) -> None:
    values = {"instance_path": tmp_path} | SECRETS | {name: secret.ljust(40, "-")}
    with pytest.raises(SettingsError) as error:
        load_settings(**values)
    assert str(error.value).startswith(f"PORTAL_{name.upper()} can't be used: it is a placeholder")
    assert secret not in str(error.value) and "\n" not in str(error.value)
    assert getattr(load_settings(demo=True, **values), name) == values[name]


GOOD = SECRETS["secret_key"]
ZEROS, ONE_LETTER = base64.urlsafe_b64encode(bytes(32)).decode(), base64.urlsafe_b64encode(b"k" * 32).decode()
FERNET = SECRETS["encryption_keys"][0]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"secret_key": "k" * 64}, "PORTAL_SECRET_KEY"),
        ({"secret_key": "abc" * 20}, "PORTAL_SECRET_KEY"),
        ({"launch_secret": " " * 40}, "PORTAL_LAUNCH_SECRET"),
        ({"launch_secret": GOOD}, "PORTAL_LAUNCH_SECRET"),
        ({"launch_secret": FERNET}, "PORTAL_LAUNCH_SECRET"),
        ({"secret_key": FERNET}, "PORTAL_ENCRYPTION_KEYS"),
        ({"encryption_keys": ZEROS}, "PORTAL_ENCRYPTION_KEYS"),
        ({"encryption_keys": ONE_LETTER}, "PORTAL_ENCRYPTION_KEYS"),
        ({"encryption_keys": f"{FERNET},{ZEROS}"}, "PORTAL_ENCRYPTION_KEYS"),
    ],
)
def test_a_secret_that_can_be_guessed_or_has_two_uses_is_for_the_demo_only(
    tmp_path: Path, change: dict[str, Any], name: str
) -> None:
    values = {"instance_path": tmp_path} | SECRETS | change
    with pytest.raises(SettingsError) as error:
        load_settings(**values)
    assert str(error.value).startswith(f"{name} can't be used: ") and "\n" not in str(error.value)
    for secret in (GOOD, FERNET, ZEROS, "kkkk", "abcabc"):
        assert secret not in str(error.value)
    assert load_settings(demo=True, **values)


def test_the_way_to_make_a_secret_that_the_sentence_names_works(tmp_path: Path) -> None:
    for change in ({"secret_key": "k" * 40}, {"encryption_keys": ZEROS}):
        with pytest.raises(SettingsError) as error:
            load_settings(**{"instance_path": tmp_path} | SECRETS | change)
        command = re.search(r"python3 -c '(.+)'", str(error.value))
        assert command
        made = subprocess.run([sys.executable, "-c", command[1]], capture_output=True, text=True, timeout=60).stdout
        assert load_settings(**{"instance_path": tmp_path} | SECRETS | dict.fromkeys(change, made.strip()))


@pytest.mark.parametrize("host", ["mail.marketplace.example", "10.0.0.7:8000", "localhost.example", "[2001:db8::1]"])
def test_a_plain_http_address_is_for_this_machine_only(tmp_path: Path, host: str) -> None:
    values = {"instance_path": tmp_path} | SECRETS
    with pytest.raises(SettingsError) as error:
        load_settings(base_url=f"http://{host}", **values)
    assert str(error.value).startswith("PORTAL_BASE_URL can't be used: must begin with https://")
    assert load_settings(base_url=f"https://{host}", **values)
    assert load_settings(base_url=f"http://{host}", demo=True, **values)


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "portal.localhost"])
def test_this_machine_may_be_asked_by_plain_http(tmp_path: Path, host: str) -> None:
    assert load_settings(base_url=f"http://{host}", instance_path=tmp_path, **SECRETS).is_for_this_machine


@pytest.mark.parametrize("host", ["relay.example:25", "relay.example", "10.0.0.7", "192.168.1.1:587", "[2001:db8::1]"])
def test_the_relays_password_is_never_sent_in_the_clear(tmp_path: Path, host: str) -> None:
    values = {"instance_path": tmp_path} | SECRETS
    with pytest.raises(SettingsError) as error:
        load_settings(relay=f"smtp://user:hunter2@{host}", **values)
    assert str(error.value).startswith("PORTAL_RELAY can't be used: its password would be sent in the clear")
    assert "hunter2" not in str(error.value) and "smtp+starttls://" in str(error.value)
    for good in (f"smtp://{host}", f"smtp+starttls://user:hunter2@{host}", f"smtps://user:hunter2@{host}"):
        assert load_settings(relay=good, **values)


@pytest.mark.parametrize("host", ["localhost:1025", "127.0.0.1", "[::1]:25"])
def test_on_this_machine_a_relays_password_needs_no_encryption(tmp_path: Path, host: str) -> None:
    assert load_settings(relay=f"smtp://user:hunter2@{host}", instance_path=tmp_path, **SECRETS)


def test_settings_that_are_printed_show_nothing(tmp_path: Path) -> None:
    settings = load_settings(instance_path=tmp_path, relay="smtps://user:hunter2@relay.example", **SECRETS)
    for printed in (repr(settings), str(settings), f"{settings}", f"{settings!r}"):
        assert printed in ("Settings()", "")


def test_a_process_with_a_placeholder_ends_with_the_sentence(tmp_path: Path) -> None:
    environment = {"PORTAL_INSTANCE_PATH": str(tmp_path), "PATH": "", "PORTAL_SECRET_KEY": "change-me" * 5}
    done = subprocess.run(
        [sys.executable, "-m", "flask", "routes"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=3000,
    )
    assert done.returncode == 3
    assert "PORTAL_SECRET_KEY can't be used: it is a placeholder" in done.stderr and "Traceback" not in done.stderr


def test_no_secret_of_the_documents_and_examples_can_be_used(tmp_path: Path) -> None:
    """Whatever README and docs show as a value is too short, or one of the placeholders."""
    texts = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = [
        match[2]
        for path in texts
        for match in re.finditer(r"PORTAL_(SECRET_KEY|LAUNCH_SECRET)=([^\s`$)]+)", path.read_text())
    ]
    assert shown
    for secret in shown:
        with pytest.raises(SettingsError):
            load_settings(**{"instance_path": tmp_path} | SECRETS | {"secret_key": secret})


@pytest.mark.parametrize("command", [["-m", "jobs.worker", "mail"], ["-m", "jobs.clock"], ["-m", "flask", "routes"]])
def test_each_process_ends_with_the_sentence_and_no_traceback(tmp_path: Path, command: list[str]) -> None:
    environment = {"PORTAL_INSTANCE_PATH": str(tmp_path), "PATH": ""}
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 3
    assert "PORTAL_SECRET_KEY is not set" in done.stderr and "Traceback" not in done.stderr


def test_lists_are_written_with_commas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTAL_PROTECTED_NAMES", "PayPal, Deutsche Bank,")
    monkeypatch.setenv("PORTAL_OWN_DOMAINS", "Marketplace.example, müller.example")
    read = load_settings(**{"instance_path": tmp_path} | SECRETS)
    assert read.protected_names == ["PayPal", "Deutsche Bank"]
    assert read.own_domains == ["marketplace.example", "xn--mller-kva.example"]


def test_every_setting_is_described_and_nothing_else() -> None:
    rows = [line.split("|")[1] for line in (ROOT / "docs/settings.md").read_text().splitlines() if line.startswith("|")]
    described = set(re.findall(r"`PORTAL_([A-Z_]+)`", " ".join(rows)))
    assert described == {name.upper() for name in Settings.model_fields}
