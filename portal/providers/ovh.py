"""OVHcloud."""

from portal.providers.base import MAILBOX, STARTTLS, TLS, FromRule, Group, Limits, Provider

PROVIDER = Provider(
    key="ovh",
    name="OVHcloud",
    group=Group.MAILBOXES,
    place=8,
    host="ssl0.ovh.net",  # MX Plan and Zimbra; Email Pro and Exchange: pro1.mail.ovh.net, ex4.mail.ovh.net ...
    hosts=r"ssl0\.ovh\.(net|ca)|(smtp|pro\d+|ex\d*)\.mail\.ovh\.(net|ca)",
    endpoints=(TLS, STARTTLS),
    sign_in=MAILBOX,
    from_rule=FromRule.ACCOUNT,
    help_url="https://docs.ovhcloud.com/en/guides/web-cloud/email-and-collaborative-solutions/"
    "mx-plan/email-generalities",
    limits=Limits(
        per_minute=3,  # judgement: no figure is published, but too fast a sender is blocked until support unblocks it
        source="https://docs.ovhcloud.com/en/guides/web-cloud/email-and-collaborative-solutions/"
        "troubleshooting/locked-for-spam",
        checked="2026-11",
    ),
)
