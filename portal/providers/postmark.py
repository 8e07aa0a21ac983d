"""Postmark."""

from portal.providers.base import KEY, STARTTLS, STARTTLS_2525, Limits, sending_service

PROVIDER = sending_service(
    key="postmark",
    name="Postmark",
    place=4,
    host="smtp.postmarkapp.com",
    hosts=r"smtp(-broadcasts)?\.postmarkapp\.com",
    endpoints=(STARTTLS, STARTTLS_2525),
    sign_in=KEY,  # the server token in both fields, or a stream's access key and secret key
    help_url="https://postmarkapp.com/developer/user-guide/send-email-with-smtp",
    limits=Limits(
        connections=10,  # asked for, not enforced
        per_day=None,  # plans count by the month, the free one 100
        source="https://postmarkapp.com/support/article/do-we-have-rate-limits-for-smtp",
        checked="2026-11",
    ),
)
