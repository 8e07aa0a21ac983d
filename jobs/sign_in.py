"""The job that mails a sign-in link."""

from __future__ import annotations

from portal.services import sign_in


def send(link_id: int) -> None:
    """Mail one link that was asked for, if its address is known."""
    sign_in.send(link_id)
