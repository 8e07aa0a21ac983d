"""The job that tries a driver's settings."""

from __future__ import annotations

from portal.services import driver_tests


def run(test_id: int) -> None:
    """Send the test mail of one test."""
    driver_tests.run(test_id)
