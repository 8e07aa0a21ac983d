"""Waits until the demo's pages are served, then says where they are and what to click first."""

from __future__ import annotations

import signal
import sys

from demo.wait import wait_for
from demo.web import (
    DASHBOARD_PORT,
    INBOX_PORT,
    PORT,
    PORTAL_URL,
    PROVIDER_STARTTLS_PORT,
    PROVIDER_TLS_PORT,
    RELAY_PORT,
    SIGN_IN_PORT,
)

WELCOME = f"""
  Absender is running.

    Marketplace dashboard    http://127.0.0.1:{DASHBOARD_PORT}/    a shop's dashboard with the portal inside: start here
    Demo inbox               http://127.0.0.1:{INBOX_PORT}/    every mail that the portal sends arrives here
    Demo mail provider       http://127.0.0.1:{INBOX_PORT}/provider    plays Gmail for a merchant's own mail service
                             by SMTP: localhost, port {PROVIDER_TLS_PORT} (SSL) or {PROVIDER_STARTTLS_PORT} (TLS)
    Demo sign-in             http://127.0.0.1:{INBOX_PORT}/sign-in    plays Google and Microsoft; not yet asked
    Portal                   {PORTAL_URL}/    by itself it shows little: shops enter it from their dashboard

  What to click first: in the dashboard enter an address and a name under "Email verification" and press
  "Send verification email". Open the mail in the demo inbox, follow its link, press "Verify email".
  Then send an order update from the dashboard and watch it in "Email logs".

  Ctrl-C ends everything.
"""


def main() -> None:
    pages = [f"http://127.0.0.1:{port}/" for port in (PORT, DASHBOARD_PORT, INBOX_PORT)]
    others = (RELAY_PORT, PROVIDER_TLS_PORT, PROVIDER_STARTTLS_PORT, SIGN_IN_PORT)
    missing = wait_for([*pages, *(f"tcp://127.0.0.1:{port}" for port in others)])
    if missing:
        sys.exit(f"No answer from {missing}; the lines above may say why.")
    print(WELCOME, flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
