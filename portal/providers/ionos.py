"""IONOS, once 1&1."""

from portal.providers.base import Limits, Provider
from portal.reasons import N_

PROVIDER = Provider(
    key="ionos",
    name="IONOS",
    place=6,
    host="smtp.ionos.de",  # contracts elsewhere: smtp.ionos.com, .co.uk, .fr ...
    hosts=r"smtp\.((ionos|1and1)\.(com|co\.uk|de|fr|es|it|mx|ca)|1und1\.de)",
    help_url=N_("https://www.ionos.co.uk/help/index.php?id=2490"),
    limits=Limits(
        per_minute=8,  # 500 an hour; contracts younger than 7, 14, 30 days have 50, 100, 400 an hour
        source="https://www.ionos.com/help/email/general-topics/what-are-the-mass-mailing-limits/",
        checked="2026-11",
    ),
)
