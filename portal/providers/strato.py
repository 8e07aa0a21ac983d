"""STRATO."""

from portal.providers.base import Limits, Provider

PROVIDER = Provider(
    key="strato",
    name="STRATO",
    place=7,
    host="smtp.strato.de",
    hosts=r"smtp\.strato\.(de|com|nl|es|fr)",
    help_url="https://www.strato.de/faq/mail/externes-e-mail-programm-mit-strato-e-mail-adresse-nutzen/",
    limits=Limits(
        per_minute=10,  # judgement: no limit is published
        source="https://www.strato.de/faq/mail/externes-e-mail-programm-mit-strato-e-mail-adresse-nutzen/",
        checked="2026-11",
    ),
)
