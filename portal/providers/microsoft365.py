"""Microsoft 365: Exchange Online mailboxes. Sending with a password is being retired; the guide warns of it."""

from dataclasses import replace

from portal.providers.base import MAILBOX, STARTTLS, FromRule, Group, Limits, Provider
from portal.reasons import N_

PROVIDER = Provider(
    key="microsoft365",
    name="Microsoft 365",
    group=Group.MAIN,
    place=2,
    hint=N_("Outlook and Exchange mailboxes of a company"),
    host="smtp.office365.com",
    hosts=r"(smtp|outlook)\.office365\.com",  # not smtp-mail.outlook.com, which has other limits
    endpoints=(STARTTLS,),
    sign_in=replace(MAILBOX, app_password=r"[a-z]{4}(?:\s+[a-z]{4}){3}"),
    from_rule=FromRule.ACCOUNT,  # another mailbox needs "Send as"; an alias may be replaced by the primary address
    help_url="https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/"
    "authenticated-client-smtp-submission",
    limits=Limits(
        connections=3,
        per_minute=30,
        per_day=10_000,  # per mailbox; a tenant's external recipients are limited by its licences besides
        source="https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/"
        "exchange-online-limits",
        checked="2026-11",
    ),
)
