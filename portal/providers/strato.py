"""STRATO."""

from portal.providers.base import MAILBOX, STARTTLS, TLS, FromRule, Group, Limits, Provider

PROVIDER = Provider(
    key="strato",
    name="STRATO",
    group=Group.MAILBOXES,
    place=7,
    host="smtp.strato.de",
    hosts=r"smtp\.strato\.(de|com|nl|es|fr)",
    endpoints=(TLS, STARTTLS),
    sign_in=MAILBOX,
    from_rule=FromRule.ACCOUNT,
    help_url="https://www.strato.de/faq/mail/externes-e-mail-programm-mit-strato-e-mail-adresse-nutzen/",
    limits=Limits(
        per_minute=10,  # judgement: no limit is published
        source="https://www.strato.de/faq/mail/externes-e-mail-programm-mit-strato-e-mail-adresse-nutzen/",
        checked="2026-11",
    ),
)
