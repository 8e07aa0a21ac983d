"""Yahoo."""

from portal.providers.base import LETTERS, Limits, Provider

PROVIDER = Provider(
    key="yahoo",
    name="Yahoo",
    place=1,
    host="smtp.mail.yahoo.com",
    hosts=r"smtp\.mail\.yahoo\.com",
    sign_in=LETTERS,
    help_url="https://help.yahoo.com/kb/SLN15241.html",
    limits=Limits(
        per_minute=10,  # judgement: none is published, but a connection takes about 20 mails
        per_day=500,  # published for business mail, assumed for the free one
        source="https://help.yahoo.com/kb/SLN17518.html",
        checked="2026-11",
    ),
)
