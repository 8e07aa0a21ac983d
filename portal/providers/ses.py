"""Amazon SES."""

from portal.providers.base import STARTTLS, TLS, Endpoint, Limits, sending_service

PROVIDER = sending_service(
    key="ses",
    name="Amazon SES",
    place=1,
    host="email-smtp.eu-central-1.amazonaws.com",
    hosts=r"email-smtp(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?",
    endpoints=(STARTTLS, TLS, Endpoint(2587, "starttls"), Endpoint(2465, "tls")),
    help_url="https://docs.aws.amazon.com/ses/latest/dg/smtp-credentials.html",
    limits=Limits(
        per_minute=60,  # judgement: the sandbox's one a second; each account has a rate of its own, mostly more
        per_day=None,  # the sandbox has 200 but reaches verified addresses only; after it, each account its own
        source="https://docs.aws.amazon.com/ses/latest/dg/quotas.html",
        checked="2026-11",
    ),
)
