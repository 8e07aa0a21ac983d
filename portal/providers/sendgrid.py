"""SendGrid."""

from portal.providers.base import Limits, key_of, sending_service

PROVIDER = sending_service(
    key="sendgrid",
    name="SendGrid",
    place=2,
    host="smtp.sendgrid.net",
    hosts=r"smtp\.(eu\.)?sendgrid\.net",
    sign_in=key_of("apikey"),
    help_url="https://www.twilio.com/docs/sendgrid/for-developers/sending-email/integrating-with-the-smtp-api",
    limits=Limits(
        connections=10,  # judgement: 10,000 are allowed, with 5,000 mails on each
        per_day=None,  # 100 in the 60-day trial; paid plans count by the month
        source="https://www.twilio.com/en-us/products/email-api/pricing",
        checked="2026-11",
    ),
)
