"""The job that mails a sign-in link."""

from __future__ import annotations

from portal.services.accounts import login_links


def send(link_id: int) -> None:
    """Mail one link that was asked for, if its address is known."""
    login_links.send(link_id)
