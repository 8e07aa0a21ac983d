"""The product's real processes, started, killed and started again by a test."""

import os
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Protocol, Self

from tests.support.waiting import eventually

ROOT = Path(__file__).parent.parent.parent


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def web(port: int) -> list[str]:
    return python(
        "-m",
        "gunicorn",
        "--worker-class",
        "gthread",
        "--threads",
        "4",
        "--bind",
        f"127.0.0.1:{port}",
        "--no-control-socket",
        "wsgi:app",
    )


WORKER_INTERACTIVE = python("-m", "jobs.worker", "interactive")
WORKER_MAIL = python("-m", "jobs.worker", "mail")
CLOCK = python("-m", "jobs.clock")


class Process:
    """One process of the product, in a process group of its own, so that a kill takes its children along."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.command = command
        self.environment = environment
        self._file = tempfile.NamedTemporaryFile()  # noqa: SIM115 (lives as long as this object)
        self._log: IO[bytes] = open(self._file.name, "ab")  # noqa: SIM115
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        self._process = subprocess.Popen(
            self.command, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            start_new_session=True,
        )  # fmt: skip
        return self

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def kill(self) -> None:
        """As a power cut: no farewell, no clean-up."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def ask_to_stop(self) -> None:
        """SIGTERM, without waiting for the end."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGTERM)

    @property
    def has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def restart(self) -> None:
        self.kill()
        self.start()

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for attempt in (number, signal.SIGKILL):
            try:
                os.killpg(process.pid, attempt)
                process.wait(10)
                return
            except ProcessLookupError:
                process.wait(10)
                return
            except subprocess.TimeoutExpired:
                continue

    @property
    def output(self) -> str:
        return Path(self._file.name).read_text(errors="replace")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *details: object) -> None:
        self.stop()


class HasOutput(Protocol):
    @property
    def output(self) -> str: ...


def answers(url: str) -> bool:
    """Whether a GET of `url` brings 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def wait_for_page(url: str, process: HasOutput) -> None:
    try:
        eventually(lambda: answers(url), f"{url} answers")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{process.output}") from None
