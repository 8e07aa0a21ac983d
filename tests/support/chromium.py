"""Where the machine's Chromium is, and how to start it for tests."""

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")

# Quiet: nothing but the tests' own addresses is asked for. As root it has no sandbox of its own.
ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find() -> str | None:
    """The path of the browser: PORTAL_TEST_CHROMIUM, else what is installed, else None."""
    for name in (os.environ.get("PORTAL_TEST_CHROMIUM"), *NAMES):
        if name and (path := shutil.which(name)):
            return path
    return None


def arguments() -> list[str]:
    return [*ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
