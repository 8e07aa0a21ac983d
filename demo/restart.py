"""Runs a module of ours, again whenever the product's code changes: `python -m demo.restart -m jobs.clock`."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from threading import Event

ROOT = Path(__file__).resolve().parent.parent
_LOOK_EVERY = 1.0  # seconds


def state_of_code() -> dict[Path, int]:
    """When each of the product's modules and compiled catalogues was last written."""
    files = [
        path for folder in ("portal", "jobs") for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".mo")
    ]
    return {path: path.stat().st_mtime_ns for path in files if path.exists()}


def main() -> int:
    ending = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())
    while not ending.is_set():
        before = state_of_code()
        process = subprocess.Popen([sys.executable, *sys.argv[1:]])
        # A module that can't be imported ends its process: the next change starts it again.
        while not ending.wait(_LOOK_EVERY) and state_of_code() == before:
            pass
        process.terminate()
        process.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
