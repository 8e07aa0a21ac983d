"""WEB.DE, by the operator of GMX."""

from portal.providers.base import MAILBOX, STARTTLS, TLS, FromRule, Group, Limits, Provider

PROVIDER = Provider(
    key="webde",
    name="WEB.DE",
    group=Group.MAILBOXES,
    place=5,
    host="smtp.web.de",
    hosts=r"smtp\.web\.de",
    endpoints=(TLS, STARTTLS),
    sign_in=MAILBOX,
    from_rule=FromRule.ACCOUNT,
    help_url="https://hilfe.web.de/pop-imap/einschalten.html",
    limits=Limits(
        per_minute=10,  # judgement, as for GMX
        source="https://hilfe.web.de/pop-imap/imap/imap-serverdaten.html",
        checked="2026-11",
    ),
)
