"""Free ports on loopback."""

import itertools
import os
import socket

_FIRST, _COUNT = 10_000, 10_000
_candidates = itertools.count(os.getpid() * 37)  # two runs at the same time begin apart


def free_port() -> int:
    """A port that nobody listens on now, outside of the range from which the system picks for others meanwhile."""
    for number in _candidates:
        port = _FIRST + number % _COUNT
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise AssertionError("unreachable")
