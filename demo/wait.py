"""Waits until addresses answer: `http://` pages, `tcp://` ports, `unix://` sockets. Standard library only."""

from __future__ import annotations

import socket
import sys
import time
import urllib.error
import urllib.request
from urllib.parse import unquote, urlsplit

SECONDS = 60.0
_PAUSE = 0.05


def answers(url: str) -> bool:
    """Whether something answers there now; a page's error status is an answer, too."""
    parts = urlsplit(url)
    try:
        if parts.scheme == "http":
            urllib.request.urlopen(url, timeout=5).close()
        elif parts.scheme == "tcp":
            socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5).close()
        else:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(unquote(parts.path))
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def wait_for(urls: list[str], seconds: float = SECONDS) -> str | None:
    """Wait for all of them, together at most `seconds`; returns the first that never answered, or None."""
    deadline = time.monotonic() + seconds
    for url in urls:
        while not answers(url):
            if time.monotonic() > deadline:
                return url
            time.sleep(_PAUSE)
    return None


if __name__ == "__main__":
    if missing := wait_for(sys.argv[1:]):
        sys.exit(f"No answer from {missing} after {SECONDS:.0f} seconds.")
