"""OVHcloud."""

from portal.providers.base import Limits, Provider

PROVIDER = Provider(
    key="ovh",
    name="OVHcloud",
    place=8,
    host="ssl0.ovh.net",  # MX Plan and Zimbra; Email Pro and Exchange: pro1.mail.ovh.net, ex4.mail.ovh.net ...
    hosts=r"ssl0\.ovh\.(net|ca)|(smtp|pro\d+|ex\d*)\.mail\.ovh\.(net|ca)",
    help_url="https://docs.ovhcloud.com/en/guides/web-cloud/email-and-collaborative-solutions/"
    "mx-plan/email-generalities",
    limits=Limits(
        per_minute=3,  # judgement: no figure is published, but too fast a sender is blocked until support unblocks it
        source="https://docs.ovhcloud.com/en/guides/web-cloud/email-and-collaborative-solutions/"
        "troubleshooting/locked-for-spam",
        checked="2026-11",
    ),
)
