"""Resend."""

from portal.providers.base import STARTTLS, TLS, Endpoint, Limits, key_of, sending_service

PROVIDER = sending_service(
    key="resend",
    name="Resend",
    place=6,
    host="smtp.resend.com",
    hosts=r"smtp\.resend\.com",
    endpoints=(TLS, STARTTLS, Endpoint(2465, "tls"), Endpoint(2587, "starttls")),
    sign_in=key_of("resend"),
    help_url="https://resend.com/docs/send-with-smtp",
    limits=Limits(
        per_minute=120,  # judgement: two a second, below the 5 requests a second that all of a team's keys share
        per_day=None,  # 100 in the free plan, received mail counts too; paid plans count by the month
        source="https://resend.com/docs/knowledge-base/account-quotas-and-limits",
        checked="2026-11",
    ),
)
