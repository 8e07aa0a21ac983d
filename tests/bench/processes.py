"""Processes that a benchmark starts, their processor time, and the servers mail is sent to."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.ports import free_port
from tests.support.processes import ROOT, Process, python
from tests.support.waiting import eventually

_TICK = os.sysconf("SC_CLK_TCK")
HOW_TO_INSTALL = "apt-get install --no-install-recommends postfix (its daemon need not run)"


def clean_environment(**settings: object) -> dict[str, str]:
    """The environment without the PORTAL_* of whoever runs this, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")}
    return kept | {f"PORTAL_{name.upper()}": str(value) for name, value in settings.items()}


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class Server(Process):
    """A process whose processor time and memory can be told, with those of its children."""

    @property
    def cpu_seconds(self) -> float:
        return sum(int(stat[11]) + int(stat[12]) for _, stat in self._tree()) / _TICK

    @property
    def megabytes(self) -> float:
        """Memory of the process and its children: PSS, so that shared pages count once."""
        kilobytes = 0
        for folder, _ in self._tree():
            with suppress(OSError):
                rollup = (folder / "smaps_rollup").read_text()
                kilobytes += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        return kilobytes * 1024 / 1e6

    def _tree(self) -> Iterator[tuple[Path, list[str]]]:
        """The folders in /proc of its group (Process gives each one its own), with what `stat` says after the name."""
        assert self._process is not None
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            if int(fields[2]) == self._process.pid:
                yield stat.parent, fields


@contextmanager
def serving(command: list[str], port: int, **settings: object) -> Iterator[Server]:
    """A server, from when it listens until the block ends."""
    process = Server(command, clean_environment(**settings))
    with process:
        try:
            eventually(lambda: listens(port), f"{' '.join(command)} listens", 30)
        except AssertionError as error:
            raise RuntimeError(f"{error}\n{process.output}") from None
        yield process


def smtp_sink_program() -> str | None:
    """Postfix's smtp-sink; Debian keeps it out of an ordinary user's PATH."""
    return shutil.which("smtp-sink", path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin")))


@contextmanager
def mail_server() -> Iterator[int]:
    """A server that takes every mail and forgets it; its port."""
    port = free_port()
    program = smtp_sink_program()
    unprivileged = ["-u", "nobody"] if os.geteuid() == 0 else []  # it refuses to be root
    command = python("-m", "tests.bench.peers.sink", str(port))
    if program:
        command = [program, *unprivileged, f"127.0.0.1:{port}", "500"]
    with serving(command, port):
        yield port


class Place(NamedTuple):
    """A server's port, and its process."""

    port: int
    process: Server


@contextmanager
def far_away(port: int, milliseconds: float) -> Iterator[Place]:
    """The same server with this much more time on the way there and on the way back."""
    distant = free_port()
    command = python("-m", "tests.bench.peers.distance", str(distant), str(port), str(milliseconds))
    with serving(command, distant) as process:
        yield Place(distant, process)


def measured(module: str, *arguments: str | Path, timeout: float = 600) -> Any:
    """Run a peer in a process of its own; what it prints as JSON."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, timeout=timeout, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{module} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])
