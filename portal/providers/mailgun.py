"""Mailgun."""

from portal.providers.base import ISSUED, STARTTLS, STARTTLS_2525, TLS, FromRule, Group, Limits, Provider

PROVIDER = Provider(
    key="mailgun",
    name="Mailgun",
    group=Group.SENDING_SERVICES,
    place=3,
    host="smtp.mailgun.org",  # accounts in the EU region: smtp.eu.mailgun.org
    hosts=r"smtp\.(eu\.)?mailgun\.org",
    endpoints=(STARTTLS, TLS, STARTTLS_2525),
    sign_in=ISSUED,  # looks like an address (postmaster@mg.example.com) but is no mailbox
    from_rule=FromRule.VERIFIED,
    help_url="https://documentation.mailgun.com/docs/mailgun/user-manual/sending-messages/send-smtp",
    limits=Limits(
        per_day=None,  # 100 in the free plan; paid plans count by the month
        source="https://www.mailgun.com/pricing/",
        checked="2026-11",
    ),
)
