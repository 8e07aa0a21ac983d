"""Zoho Mail."""

from dataclasses import replace

from portal.providers.base import MAILBOX, Limits, Provider

PROVIDER = Provider(
    key="zoho",
    name="Zoho Mail",
    place=3,
    host="smtppro.zoho.eu",  # paid account of the EU region; personal ones smtp.zoho.eu, elsewhere .com, .in ...
    hosts=r"smtp(pro)?\.(zoho\.(com|eu|in|jp|sa|uk|com\.au|com\.cn)|zohocloud\.ca)",
    sign_in=replace(MAILBOX, app_password=r"[A-Za-z0-9]{4}(?:\s+[A-Za-z0-9]{4}){2}"),
    help_url="https://www.zoho.com/mail/help/zoho-smtp.html",
    limits=Limits(
        per_minute=3,  # judgement: 50 to 500 an hour, by the sender's reputation; bursts block the account
        source="https://www.zoho.com/mail/help/adminconsole/rates-and-limits.html",
        checked="2026-11",
    ),
)
