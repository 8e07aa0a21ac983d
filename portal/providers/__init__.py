"""What is known of the providers that merchants send through: where to connect, how fast, as whom."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Encryption = Literal["tls", "starttls"]  # implicit TLS (the form's SSL) and STARTTLS (the form's TLS)
Username = Literal["address", "apikey", "other"]
FromRule = Literal["account", "verified", "any"]

_TLS: tuple[int, Encryption] = (465, "tls")
_STARTTLS: tuple[int, Encryption] = (587, "starttls")
_STARTTLS_2525: tuple[int, Encryption] = (2525, "starttls")
_CHECKED = "2026-11"


@dataclass(frozen=True)
class Preset:
    """A provider's SMTP submission service.

    `host` may name one region of several; `endpoints` are (port, encryption), the default first; `connections` are
    how many are safe to open at a time, 1 where that is unknown.
    `per_minute` and `per_day` count recipients of the usual (free) account; None: no such limit is published, or it
    differs per account. `per_day_by_plan`: paid plans allow more, so ask the merchant before holding mail for it.
    `username`: address = the mailbox's full address; apikey = the password is a key, and the user name is
    `fixed_username` or, without one, the key as well; other = a user name the provider issues.
    `from_rule`: account = only the account's own addresses, else refused or (`replaces_from`) replaced silently;
    verified = only what was verified at the provider beforehand; any = nothing known.
    `source` is the page the limits come from, `checked` the month (YYYY-MM) in which it was read.
    """

    key: str
    name: str
    host: str
    endpoints: tuple[tuple[int, Encryption], ...]
    username: Username
    from_rule: FromRule
    help_url: str
    source: str
    connections: int = 1
    per_minute: int | None = None
    per_day: int | None = None
    per_day_by_plan: bool = False
    fixed_username: str | None = None
    replaces_from: bool = False
    checked: str = _CHECKED


_ALL = (
    Preset(
        key="gmail",
        name="Gmail or Google Workspace",
        host="smtp.gmail.com",
        endpoints=(_TLS, _STARTTLS),
        per_minute=20,  # judgement: no figure is published, yet bursts are deferred (421 4.7.0)
        per_day=500,  # in any 24 hours; Workspace 2,000, its trial accounts 500
        per_day_by_plan=True,
        username="address",
        from_rule="account",
        replaces_from=True,
        help_url="https://support.google.com/accounts/answer/185833",
        source="https://support.google.com/mail/answer/22839",
    ),
    Preset(
        key="microsoft365",
        name="Microsoft 365",
        host="smtp.office365.com",
        endpoints=(_STARTTLS,),
        connections=3,
        per_minute=30,
        per_day=10_000,  # per mailbox; a tenant's external recipients are limited by its licences besides
        username="address",
        from_rule="account",  # another mailbox needs "Send as"; an alias may be replaced by the primary address
        help_url="https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/"
        "authenticated-client-smtp-submission",
        source="https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/"
        "exchange-online-limits",
    ),
    Preset(
        key="other",
        name="Other SMTP server",
        host="",
        endpoints=(_STARTTLS, _TLS),
        username="other",
        from_rule="any",
        help_url="",
        source="",
    ),
    Preset(
        key="ses",
        name="Amazon SES",
        host="email-smtp.eu-central-1.amazonaws.com",
        endpoints=(_STARTTLS, _TLS, (2587, "starttls"), (2465, "tls")),
        per_minute=60,  # judgement: the sandbox's one a second; each account has a rate of its own, mostly more
        per_day_by_plan=True,  # the sandbox has 200 but reaches verified addresses only; after it, each account its own
        username="other",
        from_rule="verified",
        help_url="https://docs.aws.amazon.com/ses/latest/dg/smtp-credentials.html",
        source="https://docs.aws.amazon.com/ses/latest/dg/quotas.html",
    ),
    Preset(
        key="sendgrid",
        name="SendGrid",
        host="smtp.sendgrid.net",
        endpoints=(_STARTTLS, _TLS, _STARTTLS_2525),
        connections=10,  # judgement: 10,000 are allowed, with 5,000 mails on each
        per_day=100,  # the 60-day trial; paid plans count by the month
        per_day_by_plan=True,
        username="apikey",
        fixed_username="apikey",
        from_rule="verified",
        help_url="https://www.twilio.com/docs/sendgrid/for-developers/sending-email/integrating-with-the-smtp-api",
        source="https://www.twilio.com/en-us/products/email-api/pricing",
    ),
    Preset(
        key="mailgun",
        name="Mailgun",
        host="smtp.mailgun.org",  # accounts in the EU region: smtp.eu.mailgun.org
        endpoints=(_STARTTLS, _TLS, _STARTTLS_2525),
        per_day=100,  # free plan; paid plans count by the month
        per_day_by_plan=True,
        username="other",  # looks like an address (postmaster@mg.example.com) but is no mailbox
        from_rule="verified",
        help_url="https://documentation.mailgun.com/docs/mailgun/user-manual/sending-messages/send-smtp",
        source="https://www.mailgun.com/pricing/",
    ),
    Preset(
        key="postmark",
        name="Postmark",
        host="smtp.postmarkapp.com",
        endpoints=(_STARTTLS, _STARTTLS_2525),
        connections=10,  # asked for, not enforced
        per_day_by_plan=True,  # plans count by the month, the free one 100
        username="apikey",  # the server token in both fields, or a stream's access key and secret key
        from_rule="verified",
        help_url="https://postmarkapp.com/developer/user-guide/send-email-with-smtp",
        source="https://postmarkapp.com/support/article/do-we-have-rate-limits-for-smtp",
    ),
    Preset(
        key="brevo",
        name="Brevo",
        host="smtp-relay.brevo.com",
        endpoints=(_TLS, _STARTTLS, _STARTTLS_2525),  # its help calls only 465 encrypted
        per_day=300,  # free plan; paid plans count by the month
        per_day_by_plan=True,
        username="other",
        from_rule="verified",
        help_url="https://help.brevo.com/hc/en-us/articles/7924908994450",
        source="https://help.brevo.com/hc/en-us/articles/8292912279954",
    ),
    Preset(
        key="resend",
        name="Resend",
        host="smtp.resend.com",
        endpoints=(_TLS, _STARTTLS, (2465, "tls"), (2587, "starttls")),
        per_minute=120,  # judgement: two a second, below the 5 requests a second that all of a team's keys share
        per_day=100,  # free plan, received mail counts too; paid plans count by the month
        per_day_by_plan=True,
        username="apikey",
        fixed_username="resend",
        from_rule="verified",
        help_url="https://resend.com/docs/send-with-smtp",
        source="https://resend.com/docs/knowledge-base/account-quotas-and-limits",
    ),
    Preset(
        key="zoho",
        name="Zoho Mail",
        host="smtppro.zoho.eu",  # paid account of the EU region; personal ones smtp.zoho.eu, elsewhere .com, .in ...
        endpoints=(_TLS, _STARTTLS),
        per_minute=3,  # judgement: 50 to 500 an hour, by the sender's reputation; bursts block the account
        username="address",
        from_rule="account",
        help_url="https://www.zoho.com/mail/help/zoho-smtp.html",
        source="https://www.zoho.com/mail/help/adminconsole/rates-and-limits.html",
    ),
    Preset(
        key="yahoo",
        name="Yahoo",
        host="smtp.mail.yahoo.com",
        endpoints=(_TLS, _STARTTLS),
        per_minute=10,  # judgement: none is published, but a connection takes about 20 mails
        per_day=500,  # published for business mail, assumed for the free one
        username="address",
        from_rule="account",
        help_url="https://help.yahoo.com/kb/SLN15241.html",
        source="https://help.yahoo.com/kb/SLN17518.html",
    ),
    Preset(
        key="icloud",
        name="iCloud",
        host="smtp.mail.me.com",
        endpoints=(_STARTTLS,),
        per_minute=10,  # judgement: meant for personal mail
        per_day=1000,
        username="address",
        from_rule="account",
        help_url="https://support.apple.com/102654",
        source="https://support.apple.com/102198",
    ),
    Preset(
        key="gmx",
        name="GMX",
        host="mail.gmx.net",
        endpoints=(_TLS, _STARTTLS),
        per_minute=10,  # judgement: limits exist (550 "Try again later") but aren't published
        username="address",
        from_rule="account",
        help_url="https://hilfe.gmx.net/pop-imap/einschalten.html",
        source="https://hilfe.gmx.net/pop-imap/imap/imap-serverdaten.html",
    ),
    Preset(
        key="webde",
        name="WEB.DE",
        host="smtp.web.de",
        endpoints=(_TLS, _STARTTLS),
        per_minute=10,  # judgement, as for GMX: the same operator
        username="address",
        from_rule="account",
        help_url="https://hilfe.web.de/pop-imap/einschalten.html",
        source="https://hilfe.web.de/pop-imap/imap/imap-serverdaten.html",
    ),
    Preset(
        key="ionos",
        name="IONOS",
        host="smtp.ionos.de",  # contracts elsewhere: smtp.ionos.com, .co.uk, .fr ...
        endpoints=(_TLS, _STARTTLS),
        per_minute=8,  # 500 an hour; contracts younger than 7, 14, 30 days have 50, 100, 400 an hour
        username="address",
        from_rule="account",
        help_url="https://www.ionos.de/hilfe/index.php?id=2490",
        source="https://www.ionos.com/help/email/general-topics/what-are-the-mass-mailing-limits/",
    ),
    Preset(
        key="strato",
        name="STRATO",
        host="smtp.strato.de",
        endpoints=(_TLS, _STARTTLS),
        per_minute=10,  # judgement: no limit is published
        username="address",
        from_rule="account",
        help_url="https://www.strato.de/faq/mail/externes-e-mail-programm-mit-strato-e-mail-adresse-nutzen/",
        source="https://www.strato.de/faq/mail/externes-e-mail-programm-mit-strato-e-mail-adresse-nutzen/",
    ),
    Preset(
        key="ovh",
        name="OVHcloud",
        host="ssl0.ovh.net",  # MX Plan and Zimbra; Email Pro and Exchange: pro1.mail.ovh.net, ex4.mail.ovh.net ...
        endpoints=(_TLS, _STARTTLS),
        per_minute=3,  # judgement: no figure is published, but too fast a sender is blocked until support unblocks it
        username="address",
        from_rule="account",
        help_url="https://docs.ovhcloud.com/en/guides/web-cloud/email-and-collaborative-solutions/"
        "mx-plan/email-generalities",
        source="https://docs.ovhcloud.com/en/guides/web-cloud/email-and-collaborative-solutions/"
        "troubleshooting/locked-for-spam",
    ),
)
PRESETS: dict[str, Preset] = {preset.key: preset for preset in _ALL}

# Every name of a service that shares its preset's limits. Not smtp-relay.gmail.com or smtp-mail.outlook.com: others.
_HOSTS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (key, re.compile(pattern))
    for key, pattern in (
        ("gmail", r"smtp\.(gmail|googlemail)\.com"),
        ("microsoft365", r"(smtp|outlook)\.office365\.com"),
        ("ses", r"email-smtp(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?"),
        ("sendgrid", r"smtp\.(eu\.)?sendgrid\.net"),
        ("mailgun", r"smtp\.(eu\.)?mailgun\.org"),
        ("postmark", r"smtp(-broadcasts)?\.postmarkapp\.com"),
        ("brevo", r"smtp-relay\.(brevo|sendinblue)\.com"),
        ("resend", r"smtp\.resend\.com"),
        ("zoho", r"smtp(pro)?\.(zoho\.(com|eu|in|jp|sa|uk|com\.au|com\.cn)|zohocloud\.ca)"),
        ("yahoo", r"smtp\.mail\.yahoo\.com"),
        ("icloud", r"(p\d+-)?smtp\.mail\.(me|icloud)\.com"),
        ("gmx", r"(mail|smtp)\.gmx\.(net|com|de|at|ch)"),
        ("webde", r"smtp\.web\.de"),
        ("ionos", r"smtp\.((ionos|1and1)\.(com|co\.uk|de|fr|es|it|mx|ca)|1und1\.de)"),
        ("strato", r"smtp\.strato\.(de|com|nl|es|fr)"),
        ("ovh", r"ssl0\.ovh\.(net|ca)|(smtp|pro\d+|ex\d*)\.mail\.ovh\.(net|ca)"),
    )
)


def by_host(host: str) -> Preset:
    """The preset of a host, so that one typed under "other" gets its provider's pace too; else `other`."""
    name = host.strip().rstrip(".").lower()
    for key, pattern in _HOSTS:
        if pattern.fullmatch(name):
            return PRESETS[key]
    return PRESETS["other"]
