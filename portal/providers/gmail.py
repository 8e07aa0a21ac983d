"""Gmail and Google Workspace."""

from portal.providers.base import LETTERS, Group, Limits, Provider
from portal.reasons import N_

PROVIDER = Provider(
    key="gmail",
    name=N_("Gmail or Google Workspace"),
    group=Group.MAIN,
    place=1,
    hint=N_("Addresses @gmail.com, or your own domain at Google"),
    host="smtp.gmail.com",
    hosts=r"smtp\.(gmail|googlemail)\.com",  # not smtp-relay.gmail.com, which has other limits
    sign_in=LETTERS,
    replaces_from=N_("If this address is no alias of the account, Gmail replaces it. Your customers then see:"),
    help_url="https://support.google.com/accounts/answer/185833",
    limits=Limits(
        per_minute=20,  # judgement: no figure is published, yet bursts are deferred (421 4.7.0)
        per_day=2000,  # of Workspace (https://support.google.com/a/answer/166852); its trial accounts have 500
        per_day_at={"gmail.com": 500, "googlemail.com": 500},
        source="https://support.google.com/mail/answer/22839",
        checked="2026-11",
    ),
)
