"""bin/run: what it refuses with a sentence, what it writes, and that it leaves nothing behind."""

import fcntl
import os
import signal
import socket
import stat
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.run import commands, offer_sign_in, trust_provider, write_secrets
from demo.wait import wait_for
from portal.provider_endpoints import load

pytestmark = pytest.mark.any_database

ROOT = Path(__file__).resolve().parents[2]
PORTS = 7


@pytest.fixture
def port() -> int:
    """The first of seven free ports."""
    for first in range(20000 + os.getpid() % 5000, 60000, PORTS):
        sockets = [socket.socket() for _ in range(PORTS)]
        try:
            for number, probe in enumerate(sockets, first):
                probe.bind(("127.0.0.1", number))
            return first
        except OSError:
            continue
        finally:
            for probe in sockets:
                probe.close()
    raise AssertionError("no seven free ports")


def start(instance: Path, port: int, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "demo.run"],
        cwd=ROOT,
        env=os.environ | {"PORTAL_INSTANCE_PATH": str(instance), "PORTAL_PORT": str(port)} | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def refusal(instance: Path, port: int, **environ: str) -> str:
    process = start(instance, port, **environ)
    said, _ = process.communicate(timeout=1800)
    assert process.returncode == 1, said
    return said


@pytest.mark.parametrize(
    ("offset", "use"),
    [
        (0, "the portal"),
        (1, "dashboard"),
        (2, "inbox"),
        (3, "SMTP server"),
        (4, "(SSL)"),
        (5, "(TLS)"),
        (6, "sign-in pages"),
    ],
)
def test_a_taken_port_is_named_with_what_to_set(tmp_path: Path, port: int, offset: int, use: str) -> None:
    with socket.create_server(("127.0.0.1", port + offset)):
        said = refusal(tmp_path, port)
    assert said.count("\n") == 1
    assert f"Port {port + offset}," in said
    assert use in said
    assert "PORTAL_PORT=" in said


def test_a_second_run_in_the_same_checkout_says_so(tmp_path: Path, port: int) -> None:
    with (tmp_path / "run.lock").open("w") as first:
        first.write("4711")
        first.flush()
        fcntl.flock(first, fcntl.LOCK_EX)
        said = refusal(tmp_path, port)
    assert "running in this checkout already (process 4711)" in said


def test_a_port_that_is_no_number_is_one_sentence(tmp_path: Path) -> None:
    assert refusal(tmp_path, 0, PORTAL_PORT="web").startswith("PORTAL_PORT must be a number")


def test_the_first_run_writes_secrets_that_only_the_owner_reads_and_the_second_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "portal.env"
    write_secrets(path)
    first = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [line.split("=")[0] for line in first.splitlines() if line[0] != "#"] == [
        "PORTAL_SECRET_KEY",
        "PORTAL_ENCRYPTION_KEYS",
        "PORTAL_LAUNCH_SECRET",
    ]
    write_secrets(path)
    assert path.read_text() == first


def test_the_demo_mail_provider_is_trusted_unless_the_operator_set_otherwise(tmp_path: Path) -> None:
    env = {"PORTAL_SMTP_ALLOWED_PORTS": "2526", "PORTAL_SMTP_CA_FILE": ""}
    trust_provider(env, tmp_path, 8000)
    assert env == {
        "PORTAL_SMTP_CA_FILE": str(tmp_path / "demo-ca.pem"),
        "PORTAL_SMTP_ALLOWED_NETWORKS": "127.0.0.0/8,::1/128",
        "PORTAL_SMTP_ALLOWED_PORTS": "2526",
    }
    assert (tmp_path / "demo-ca.pem").is_file()
    assert stat.S_IMODE((tmp_path / "demo-mail.pem").stat().st_mode) == 0o600


def test_google_and_microsoft_are_played_unless_the_operator_set_an_app_of_theirs(tmp_path: Path) -> None:
    env: dict[str, str] = {"PORTAL_GOOGLE_CLIENT_ID": ""}
    offer_sign_in(env, tmp_path, 8000)
    urls = load(Path(env["PORTAL_PROVIDER_ENDPOINTS"]))
    assert urls["gmail"]["token"] == "http://127.0.0.1:8006/google/token"
    assert (urls["gmail"]["smtp"], urls["microsoft365"]["smtp"]) == ("smtps://localhost:8004", "smtp://localhost:8005")
    secrets = {env[f"PORTAL_{name}_CLIENT_SECRET"] for name in ("GOOGLE", "MICROSOFT")}
    assert len(secrets) == 2 and min(map(len, secrets)) >= 32

    env = {"PORTAL_GOOGLE_CLIENT_ID": "real", "PORTAL_GOOGLE_CLIENT_SECRET": "of-theirs"}
    offer_sign_in(env, tmp_path, 8000)
    assert load(Path(env["PORTAL_PROVIDER_ENDPOINTS"])).keys() == {"microsoft365"}
    assert (env["PORTAL_GOOGLE_CLIENT_ID"], env["PORTAL_GOOGLE_CLIENT_SECRET"]) == ("real", "of-theirs")

    env = {"PORTAL_PROVIDER_ENDPOINTS": "own.toml"}
    offer_sign_in(env, tmp_path, 8000)
    assert env == {"PORTAL_PROVIDER_ENDPOINTS": "own.toml"}


def test_to_reload_never_leaves_the_loopback_address() -> None:
    found = commands(8000, None, "redis://localhost", reloading=True)
    assert "--debug --host 127.0.0.1" in found["web"] and "PORTAL_BIND" not in found["web"]
    assert all("demo.restart -m jobs." in found[name] for name in ("worker_interactive", "worker_mail", "clock"))


def processes(mark: str) -> Iterator[str]:
    """Command lines of live processes with `mark` in the environment, or in the command: Valkey hides the former."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if mark.encode() in (folder / "environ").read_bytes() or mark in command:
                yield command
        except OSError:
            continue


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_it_serves_all_pages_and_ends_with_everything_it_started(tmp_path: Path, port: int, ending: int) -> None:
    mark = uuid.uuid4().hex
    # The second time below a path that is too long for a socket.
    instance = tmp_path / mark / ("long" * 30 if ending == signal.SIGTERM else "short")
    # A placeholder in place of a secret stops each process, but those of the demo.
    process = start(instance, port, MARK=mark, PORTAL_SECRET_KEY="demo-secret-" + 40 * "x")
    try:
        assert process.stdout
        for line in process.stdout:
            if "Ctrl-C ends everything" in line:
                break
        pages = [f"http://127.0.0.1:{number}/" for number in (port, port + 1, port + 2)]
        assert wait_for(pages, 180) is None
        with socket.create_connection(("127.0.0.1", port + 5), timeout=180) as provider:
            assert b"gsmtp" in provider.recv(200)
        assert wait_for([f"http://127.0.0.1:{port + 6}/google/oauth2/v3/certs"], 180) is None
        assert "SMTP" not in (instance / "portal.env").read_text()
        running = "\n".join(processes(mark))
        for expected in ("gunicorn", "demo.inbox", "demo.dashboard", "demo.welcome"):
            assert expected in running
        process.send_signal(ending)
        said, _ = process.communicate(timeout=180)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 128 + ending, said
    assert list(processes(mark)) == []
