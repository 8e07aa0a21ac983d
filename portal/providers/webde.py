"""WEB.DE, by the operator of GMX."""

from portal.providers.base import Limits, Provider

PROVIDER = Provider(
    key="webde",
    name="WEB.DE",
    place=5,
    host="smtp.web.de",
    hosts=r"smtp\.web\.de",
    help_url="https://hilfe.web.de/pop-imap/einschalten.html",
    limits=Limits(
        per_minute=10,  # judgement, as for GMX
        source="https://hilfe.web.de/pop-imap/imap/imap-serverdaten.html",
        checked="2026-11",
    ),
)
