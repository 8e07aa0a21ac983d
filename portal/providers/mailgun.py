"""Mailgun."""

from portal.providers.base import Limits, sending_service

PROVIDER = sending_service(
    key="mailgun",
    name="Mailgun",
    place=3,
    host="smtp.mailgun.org",  # accounts in the EU region: smtp.eu.mailgun.org
    hosts=r"smtp\.(eu\.)?mailgun\.org",
    # Its username looks like an address (postmaster@mg.example.com) but is no mailbox.
    help_url="https://documentation.mailgun.com/docs/mailgun/user-manual/sending-messages/send-smtp",
    limits=Limits(
        per_day=None,  # 100 in the free plan; paid plans count by the month
        source="https://www.mailgun.com/pricing/",
        checked="2026-11",
    ),
)
