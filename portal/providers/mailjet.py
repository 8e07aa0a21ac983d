"""Mailjet."""

from portal.providers.base import Limits, SignIn, sending_service
from portal.reasons import N_

PROVIDER = sending_service(
    key="mailjet",
    name="Mailjet",
    host="in-v3.mailjet.com",
    hosts=r"in-v3\.mailjet\.com",
    sign_in=SignIn(
        N_("The API key of your Mailjet account."),
        N_("The secret key that belongs to the API key."),
        N_("Secret key"),
    ),
    help_url="https://documentation.mailjet.com/hc/en-us/articles/360043225693-What-is-an-API-key",
    limits=Limits(
        per_day=None,  # 200 in the free plan; paid plans count by the month
        source="https://www.mailjet.com/pricing/",
        checked="2026-11",
    ),
)
