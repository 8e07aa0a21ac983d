"""iCloud Mail."""

from portal.providers.base import APP_PASSWORD_ONLY, MAILBOX, STARTTLS, Limits, Provider, SignIn
from portal.reasons import N_

PROVIDER = Provider(
    key="icloud",
    name="iCloud",
    place=2,
    host="smtp.mail.me.com",
    hosts=r"(p\d+-)?smtp\.mail\.(me|icloud)\.com",
    endpoints=(STARTTLS,),
    sign_in=SignIn(
        MAILBOX.username_hint,
        N_("The app-specific password, not your normal password."),
        N_("App password"),
        app_password=APP_PASSWORD_ONLY,
    ),
    help_url=N_("https://support.apple.com/102654"),
    limits=Limits(
        per_minute=10,  # judgement: meant for personal mail
        per_day=1000,
        source="https://support.apple.com/102198",
        checked="2026-11",
    ),
)
