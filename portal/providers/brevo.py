"""Brevo, once Sendinblue."""

from portal.providers.base import STARTTLS, STARTTLS_2525, TLS, Limits, sending_service
from portal.reasons import N_

PROVIDER = sending_service(
    key="brevo",
    name="Brevo",
    place=5,
    host="smtp-relay.brevo.com",
    hosts=r"smtp-relay\.(brevo|sendinblue)\.com",
    endpoints=(TLS, STARTTLS, STARTTLS_2525),  # its help calls only 465 encrypted
    help_url=N_("https://help.brevo.com/hc/en-us/articles/7924908994450"),
    limits=Limits(
        per_day=None,  # 300 in the free plan; paid plans count by the month
        source="https://help.brevo.com/hc/en-us/articles/8292912279954",
        checked="2026-11",
    ),
)
