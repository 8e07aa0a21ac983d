"""A process that tries one mail on each port it is given and tells how long it took and how much memory it grew by.

`python -m tests.chaos.session SECONDS PORT ...` prints a line of JSON for each.
"""

import json
import re
import sys
import time
from pathlib import Path

from portal.transport.base import Envelope, Mail, Timeouts
from portal.transport.smtp.account import Account
from portal.transport.smtp.connection import Connection
from portal.transport.smtp.failure import SMTPFailure


def kilobytes(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.M)
    assert found
    return int(found[1])


def attempt(port: int, timeouts: Timeouts) -> str:
    """What became of one mail."""
    try:
        with Connection(Account("127.0.0.1", port, "none", exempt=True), timeouts=timeouts) as connection:
            reply = connection.send(Mail(Envelope("a@shop.example", "b@customer.example"), b"Hello\r\n"), lambda: True)
            return f"{reply.code} {reply.text}"
    except SMTPFailure as failure:
        return str(failure)


def main() -> None:
    seconds, *ports = map(float, sys.argv[1:])
    # A command's patience is longer than the session: the deadline alone has to end it.
    timeouts = Timeouts(connect=seconds, command=4 * seconds, dot=4 * seconds, session=seconds)
    for number, port in enumerate(map(int, ports)):
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here (proc(5))
        before, began = kilobytes("VmRSS"), time.monotonic()
        became = attempt(port, timeouts if number else Timeouts())  # the first one loads what a session needs
        took = time.monotonic() - began
        grown = kilobytes("VmHWM") - before
        print(json.dumps({"port": port, "became": became, "seconds": took, "grown": grown}), flush=True)


if __name__ == "__main__":
    main()
