"""A PostgreSQL for the tests: PORTAL_TEST_DATABASE_URL, else the machine's own binaries, else the wheel pgserver.

`python -m tests.support.postgres COMMAND ...` runs the command with PORTAL_TEST_DATABASE_URL set, and ends with its
exit code, or with 69 and the reason where no PostgreSQL is to be had.
"""

import importlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

UNAVAILABLE = 69  # as in sysexits.h

# Nothing in it outlives the tests, so it need not survive a power cut.
_FAST = "-c fsync=off -c full_page_writes=off -c max_connections=200 -c listen_addresses=''"
_FORGETFUL = "-c synchronous_commit=off"  # a killed server forgets its last commits


class NoPostgres(Exception):
    """Why there is none, as one sentence."""


class Postgres:
    """A running server: `url` for SQLAlchemy; only if it was started here, `stop()` ends it and `restart(mode)` lets it
    come back, with pg_ctl's modes: fast (connections are ended), immediate (as if it had crashed)."""

    def __init__(
        self, url: str, stop: Callable[[], None] = lambda: None, restart: Callable[[str], None] = lambda mode: None
    ) -> None:
        self.url = url
        self.stop = stop
        self.restart = restart


def find_or_start() -> Postgres:
    """Raises NoPostgres with the reasons where none is to be had."""
    if url := os.environ.get("PORTAL_TEST_DATABASE_URL"):
        return Postgres(url)
    reasons = []
    for start in (_start_binaries, _start_wheel):
        try:
            return start()
        except NoPostgres as reason:
            reasons.append(str(reason))
    raise NoPostgres("; ".join(reasons))


def _binaries() -> Path | None:
    """The folder that holds initdb and pg_ctl; Debian keeps it out of PATH."""
    folders = [Path(found).resolve().parent] if (found := shutil.which("initdb")) else []
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    folders += sorted(debian, key=lambda folder: float(folder.parent.name), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None)


def _unprivileged() -> tuple[int, int] | None:
    """PostgreSQL refuses to run as root: who to be instead, as uid and gid; None to stay who we are."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise NoPostgres("there is no unprivileged user to run the machine's PostgreSQL as")


def start_durable() -> Postgres:
    """A server of one's own, whose commits survive its crash. Raises NoPostgres."""
    return _start_binaries("")


def start_syncing() -> Postgres:
    """A server of one's own that writes each commit to the disk, as in operation. Raises NoPostgres."""
    return _start_binaries("-c fsync=on -c full_page_writes=on")


def start_few() -> Postgres:
    """A server of one's own that gives few connections. Raises NoPostgres."""
    return _start_binaries("-c max_connections=8 -c superuser_reserved_connections=0")


def _start_binaries(more: str = _FORGETFUL) -> Postgres:
    binaries = _binaries()
    if binaries is None:
        raise NoPostgres("this machine has no PostgreSQL server installed")
    folder = Path(tempfile.mkdtemp(prefix="absender-pg-"))  # short: the socket lies in it
    user = _unprivileged()
    if user:
        os.chown(folder, *user)

    def call(program: str, *arguments: str) -> None:
        as_user = {"user": user[0], "group": user[1], "extra_groups": []} if user else {}
        with (folder / "commands.log").open("ab") as log:
            subprocess.run(
                [str(binaries / program), *arguments],
                cwd=folder,
                env={"PATH": os.defpath, "LC_ALL": "C", "HOME": str(folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=120,
                check=True,
                **as_user,  # type: ignore[call-overload]
            )

    data = str(folder / "data")
    try:
        call("initdb", "-D", data, "-U", "absender", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
        call("pg_ctl", "-D", data, "-w", "-l", str(folder / "server.log"), "-o", f"{_FAST} {more} -k {folder}", "start")
        call("createdb", "-h", str(folder), "-U", "absender", "absender")
    except (OSError, subprocess.SubprocessError) as error:
        said = (folder / "commands.log").read_text(errors="replace").strip().splitlines()[-1:]
        shutil.rmtree(folder, ignore_errors=True)
        raise NoPostgres(f"the machine's PostgreSQL in {binaries} did not start ({' '.join(said) or error})") from None

    def stop() -> None:
        call("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)

    def restart(mode: str) -> None:
        call("pg_ctl", "-D", data, "-w", "-l", str(folder / "server.log"), "-m", mode, "restart")

    return Postgres(f"postgresql+psycopg://absender@/absender?host={folder}", stop, restart)


def _start_wheel() -> Postgres:
    if importlib.util.find_spec("pgserver") is None:
        raise NoPostgres("the wheel pgserver is not to be had for this Python")
    folder = Path(tempfile.mkdtemp(prefix="absender-pg-"))
    try:
        server = importlib.import_module("pgserver").get_server(folder)
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise NoPostgres(f"the wheel pgserver did not start ({error})") from None

    def stop() -> None:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)

    return Postgres(url, stop)


def main(command: list[str]) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is stopped then, too
    try:
        server = find_or_start()
    except NoPostgres as reason:
        print(f"No PostgreSQL: {reason}.", file=sys.stderr)
        return UNAVAILABLE
    try:
        child = subprocess.Popen(command, env=os.environ | {"PORTAL_TEST_DATABASE_URL": server.url})
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:  # the command got it, too, and is given the time to clean up
                continue
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
