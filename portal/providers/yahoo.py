"""Yahoo."""

from portal.providers.base import LETTERS, STARTTLS, TLS, FromRule, Group, Limits, Provider

PROVIDER = Provider(
    key="yahoo",
    name="Yahoo",
    group=Group.MAILBOXES,
    place=1,
    host="smtp.mail.yahoo.com",
    hosts=r"smtp\.mail\.yahoo\.com",
    endpoints=(TLS, STARTTLS),
    sign_in=LETTERS,
    from_rule=FromRule.ACCOUNT,
    help_url="https://help.yahoo.com/kb/SLN15241.html",
    limits=Limits(
        per_minute=10,  # judgement: none is published, but a connection takes about 20 mails
        per_day=500,  # published for business mail, assumed for the free one
        source="https://help.yahoo.com/kb/SLN17518.html",
        checked="2026-11",
    ),
)
