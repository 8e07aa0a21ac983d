"""The product's processes, started in a tenth of the time: forked from one that has imported everything already.

Each is a process of its own that runs the same module as `python -m jobs.worker mail` would, and takes real signals.
"""

import json
import os
import random
import runpy
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.support.processes import ROOT, python


class Nursery:
    """The process that forks them. Use as a context manager; what it started ends with it."""

    def __enter__(self) -> Self:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")}
        self._process = subprocess.Popen(
            python("-m", "tests.support.warm"), cwd=ROOT, env=environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=180)

    def fork(self, module: str, arguments: list[str], environment: dict[str, str], log: str) -> int:
        """The id of a new process that runs the module."""
        assert self._process.stdin is not None and self._process.stdout is not None
        request = {"module": module, "arguments": arguments, "environment": environment, "log": log}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


Warm = Callable[[list[str], dict[str, str]], "WarmProcess"]


class WarmProcess:
    """Like tests.support.processes.Process, for a command that python() made of a module: `python -m jobs.clock`."""

    def __init__(self, nursery: Nursery, command: list[str], environment: dict[str, str]) -> None:
        self.nursery = nursery
        self.module, *self.arguments = command[2:]
        self.environment = environment
        self._log = tempfile.NamedTemporaryFile()  # noqa: SIM115 (lives as long as this object)
        self.pid: int | None = None

    def start(self) -> Self:
        self.pid = self.nursery.fork(self.module, self.arguments, self.environment, self._log.name)
        return self

    def kill(self) -> None:
        """As a power cut: no farewell, no clean-up."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        pid, self.pid = self.pid, None
        if pid is None:
            return
        # The nursery keeps the ended process's id until it ends itself, so this can't hit a stranger.
        handle = os.pidfd_open(pid)
        try:
            for attempt in (number, signal.SIGKILL):
                os.kill(pid, attempt)
                if select.select([handle], [], [], 10)[0]:
                    return
        finally:
            os.close(handle)

    @property
    def output(self) -> str:
        return Path(self._log.name).read_text(errors="replace")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def main() -> None:
    import jobs.clock
    import jobs.worker  # noqa: F401 (importing is all that is wanted)

    children = []
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(json.loads(line))
        children.append(child)
        print(child, flush=True)
    for child in children:
        os.kill(child, signal.SIGKILL)  # ended ones are still ours: nobody has waited for them
        os.waitpid(child, 0)


def _become(request: dict[str, Any]) -> None:
    """Turn this fork into the process that was asked for; never returns."""
    code = 1
    try:
        os.setsid()
        os.environ.clear()
        os.environ.update(request["environment"])
        nothing, log = os.open(os.devnull, os.O_RDONLY), os.open(request["log"], os.O_WRONLY | os.O_APPEND)
        for ours, theirs in ((0, nothing), (1, log), (2, log)):
            os.dup2(theirs, ours)
        random.seed()  # or all would draw the same
        sys.argv = [request["module"], *request["arguments"]]
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
