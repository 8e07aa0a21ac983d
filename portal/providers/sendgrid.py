"""SendGrid."""

from portal.providers.base import STARTTLS, STARTTLS_2525, TLS, FromRule, Group, Limits, Provider, key_of

PROVIDER = Provider(
    key="sendgrid",
    name="SendGrid",
    group=Group.SENDING_SERVICES,
    place=2,
    host="smtp.sendgrid.net",
    hosts=r"smtp\.(eu\.)?sendgrid\.net",
    endpoints=(STARTTLS, TLS, STARTTLS_2525),
    sign_in=key_of("apikey"),
    from_rule=FromRule.VERIFIED,
    help_url="https://www.twilio.com/docs/sendgrid/for-developers/sending-email/integrating-with-the-smtp-api",
    limits=Limits(
        connections=10,  # judgement: 10,000 are allowed, with 5,000 mails on each
        per_day=None,  # 100 in the 60-day trial; paid plans count by the month
        source="https://www.twilio.com/en-us/products/email-api/pricing",
        checked="2026-11",
    ),
)
