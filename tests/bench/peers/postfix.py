"""Postfix's own client: an instance with a folder of its own, on loopback only, that hands a full queue to one server.

It keeps its queue as files; the time is that from letting it go until so many of them are gone.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.bench.processes import Server, listens
from tests.support.ports import free_port
from tests.support.waiting import eventually

_DAEMONS = Path("/usr/lib/postfix/sbin")
_COMMANDS = Path("/usr/sbin")
_QUEUES = "active bounce corrupt defer deferred flush hold incoming maildrop pid private public saved trace"
_WAITING = ("incoming", "active", "deferred")
_MAIL_OCTETS = 2800
_LOOK_SECONDS = 0.2

# The queue manager's limits are those of its documentation's tuning guide for one destination that takes much at a
# time; its log goes nowhere, while Absender writes a line for each mail.
_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = {commands}
daemon_directory = {daemons}
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = bench.example
mydestination =
local_recipient_maps =
alias_maps =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtp_dns_support_level = disabled
relayhost = [127.0.0.1]:{port}
default_destination_concurrency_limit = {processes}
initial_destination_concurrency = {processes}
qmgr_message_active_limit = 20000
in_flow_delay = 0
defer_transports = smtp
"""
_MASTER = """
127.0.0.1:{own_port} inet n - n - 20 smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - {processes} smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
"""


def why_not() -> str:
    """Why Postfix can't run here; "" where it can."""
    if not (_DAEMONS / "master").exists():
        return "it is not installed"
    return "only root may start it" if os.geteuid() != 0 else ""


class Trouble(Exception):
    """Postfix doesn't do what it should on this machine; its text says what."""


class Postfix:
    """A running instance that hands over to a port of this machine. Use as a context manager."""

    def __init__(self, port: int, processes: int) -> None:
        self.port = port
        self.processes = processes
        self.own_port = free_port()

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="absender-postfix-"))
        self.folder.chmod(0o755)
        owner = pwd.getpwnam("postfix")
        for name in ("data", *(f"queue/{queue}" for queue in _QUEUES.split())):
            (self.folder / name).mkdir(parents=True)
            if name != "queue/pid":
                os.chown(self.folder / name, owner.pw_uid, owner.pw_gid)
        values = vars(self) | {"commands": _COMMANDS, "daemons": _DAEMONS}
        (self.folder / "main.cf").write_text(_MAIN.format(**values))
        (self.folder / "master.cf").write_text(_MASTER.format(**values))
        environment = {"PATH": f"{_COMMANDS}:{os.defpath}", "MAIL_CONFIG": str(self.folder), "LC_ALL": "C"}
        self.process = Server([str(_DAEMONS / "master"), "-c", str(self.folder), "-d"], environment).start()
        try:
            eventually(lambda: listens(self.own_port), "Postfix listens", 15)
        except AssertionError as error:
            self.__exit__(None, None, None)
            raise Trouble(f"{error}: {self.process.output[-500:]}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def rate(self, count: int, seconds: float) -> float:
        """Mails a second, of `count` in its queue, within so many seconds from its release or until all are gone."""
        self._call("postconf", "-e", "defer_transports = smtp")
        self._call("postfix", "reload")
        self._call(
            "smtp-source", "-s", "10", "-m", str(count), "-l", str(_MAIL_OCTETS), "-f", "sender@bench.example",
            "-t", "customer@customer.example", f"127.0.0.1:{self.own_port}",
        )  # fmt: skip
        until = time.monotonic() + 60
        while self._waiting("deferred") < count:
            if time.monotonic() > until:
                raise Trouble("Postfix did not defer its mail within a minute")
            time.sleep(_LOOK_SECONDS)
        self._call("postconf", "-e", "defer_transports =")
        self._call("postfix", "reload")
        begin = time.monotonic()
        self._call("postqueue", "-f")
        while (left := self._waiting(*_WAITING)) and time.monotonic() < begin + seconds:
            time.sleep(_LOOK_SECONDS)
        return (count - left) / (time.monotonic() - begin)

    def empty(self) -> None:
        """Throw away what still waits."""
        self._call("postsuper", "-d", "ALL")

    def _waiting(self, *queues: str) -> int:
        return sum(len(files) for queue in queues for _, _, files in os.walk(self.folder / "queue" / queue))

    def _call(self, program: str, *arguments: str) -> None:
        about_it = [] if program == "smtp-source" else ["-c", str(self.folder)]
        command = [str(_COMMANDS / program), *about_it, *arguments]
        try:
            subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        except subprocess.CalledProcessError as error:
            raise Trouble(f"{program} failed: {error.stderr[-500:]}") from None
        except subprocess.TimeoutExpired:
            raise Trouble(f"{program} took more than two minutes") from None
