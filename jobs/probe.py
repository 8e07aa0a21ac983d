"""The job that tries a driver's settings."""

from __future__ import annotations

from portal.services.drivers import probe


def run(test_id: int) -> None:
    """Send the test mail of one test."""
    probe.run(test_id)
