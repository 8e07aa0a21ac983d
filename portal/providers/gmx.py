"""GMX, by the operator of WEB.DE."""

from portal.providers.base import Limits, Provider

PROVIDER = Provider(
    key="gmx",
    name="GMX",
    place=4,
    host="mail.gmx.net",
    hosts=r"(mail|smtp)\.gmx\.(net|com|de|at|ch)",
    help_url="https://hilfe.gmx.net/pop-imap/einschalten.html",
    limits=Limits(
        per_minute=10,  # judgement: limits exist (550 "Try again later") but aren't published
        source="https://hilfe.gmx.net/pop-imap/imap/imap-serverdaten.html",
        checked="2026-11",
    ),
)
