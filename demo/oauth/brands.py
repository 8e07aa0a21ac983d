"""What the stand-ins for Google and Microsoft differ in, as data: addresses, scopes, people."""

from __future__ import annotations

from dataclasses import dataclass, field

TENANT = "9188fa11-0000-4000-8000-00000000de30"  # the demo company's number at Microsoft


@dataclass(frozen=True)
class Person:
    """Somebody with an account, and the other addresses they may send from."""

    address: str
    name: str
    aliases: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        return f"subject-of-{self.address.partition('@')[0]}"

    def may_send_from(self, address: str) -> bool:
        return address.lower() in (self.address, *self.aliases)


@dataclass(frozen=True)
class Brand:
    """One provider. `key`: what the portal calls it; `paths`: use -> path, as PORTAL_PROVIDER_ENDPOINTS has them."""

    key: str
    path: str
    name: str
    settings: str  # how the names of the app's two settings begin
    people: tuple[Person, ...]
    scopes: dict[str, tuple[str, str]]  # what it lets an app do, in English and German; "" is not shown
    send_scope: str
    smtp_scope: str
    smtp_port: str  # which of the demo's mail ports: "tls" or "starttls"
    paths: dict[str, str]
    optional: frozenset[str] = frozenset()  # scopes whose box a person can leave unticked
    shown_as: dict[str, str] = field(default_factory=dict)  # scopes that the token's answer names differently
    access_prefix: str = ""
    access_length: int = 200
    refresh_prefix: str = ""
    at_a_time: int = 1000  # sends for one mailbox

    def person(self, address: str) -> Person | None:
        return next((person for person in self.people if person.address == address.lower()), None)

    def endpoints(self, base: str, smtp: str = "") -> dict[str, str]:
        """URLs by use. `base`: where the stand-ins are served; `smtp`: the mail server's URL, left out if empty."""
        urls = {use: f"{base}/{self.path}{path}" for use, path in self.paths.items()}
        return urls | ({"smtp": smtp} if smtp else {})


_ADDRESS = ("see your email address", "Ihre E-Mail-Adresse sehen")
GOOGLE_SEND = "https://www.googleapis.com/auth/gmail.send"
_USERINFO = "https://www.googleapis.com/auth/userinfo."
GOOGLE = Brand(
    key="gmail",
    path="google",
    name="Google",
    settings="PORTAL_GOOGLE_",
    people=(
        Person("shop@gmail-demo.example", "Atlas Outdoor", ("orders@gmail-demo.example",)),
        Person("ada@gmail-demo.example", "Ada Atlas"),
    ),
    scopes={
        "openid": ("", ""),
        "email": _ADDRESS,
        _USERINFO + "email": _ADDRESS,
        "profile": ("see your name", "Ihren Namen sehen"),
        _USERINFO + "profile": ("see your name", "Ihren Namen sehen"),
        GOOGLE_SEND: ("send email on your behalf", "E-Mails in Ihrem Namen senden"),
        "https://mail.google.com/": (
            "read, compose, send and permanently delete all your email from Gmail",
            "alle Ihre E-Mails in Gmail lesen, schreiben, senden und endgültig löschen",
        ),
    },
    send_scope=GOOGLE_SEND,
    smtp_scope="https://mail.google.com/",
    smtp_port="tls",
    paths={
        "issuer": "",
        "authorize": "/o/oauth2/v2/auth",
        "token": "/token",
        "revoke": "/revoke",
        "jwks": "/oauth2/v3/certs",
        "account": "/v1/userinfo",
        "send": "/upload/gmail/v1/users/me/messages/send?uploadType=media",
    },
    optional=frozenset({GOOGLE_SEND, "https://mail.google.com/"}),
    shown_as={"email": _USERINFO + "email", "profile": _USERINFO + "profile"},
    access_prefix="ya29.demo-",
    refresh_prefix="1//demo-",
)

MICROSOFT_SEND = "https://graph.microsoft.com/Mail.Send"
MICROSOFT_SMTP = "https://outlook.office.com/SMTP.Send"
MICROSOFT = Brand(
    key="microsoft365",
    path="microsoft",
    name="Microsoft",
    settings="PORTAL_MICROSOFT_",
    people=(
        Person("shop@microsoft-demo.example", "Atlas Outdoor", ("orders@microsoft-demo.example",)),
        Person("ada@microsoft-demo.example", "Ada Atlas"),
    ),
    scopes={
        "openid": ("", ""),
        "email": _ADDRESS,
        "profile": ("view your basic profile", "Ihr grundlegendes Profil anzeigen"),
        "offline_access": (
            "maintain access to data you have given it access to",
            "Zugriff auf Daten beibehalten, für die Sie Zugriff erteilt haben",
        ),
        "https://graph.microsoft.com/User.Read": (
            "sign you in and read your profile",
            "Sie anmelden und Ihr Profil lesen",
        ),
        MICROSOFT_SEND: ("send mail as you", "E-Mails unter Ihrem Namen senden"),
        MICROSOFT_SMTP: (
            "send email from your mailbox using SMTP AUTH",
            "E-Mails über SMTP AUTH aus Ihrem Postfach senden",
        ),
    },
    send_scope=MICROSOFT_SEND,
    smtp_scope=MICROSOFT_SMTP,
    smtp_port="starttls",
    paths={
        "issuer": "/{tenantid}/v2.0",  # as Microsoft's own metadata has it for accounts of any organisation
        "authorize": "/organizations/oauth2/v2.0/authorize",
        "token": "/organizations/oauth2/v2.0/token",
        "admin_consent": "/organizations/v2.0/adminconsent",
        "jwks": "/organizations/discovery/v2.0/keys",
        "account": "/v1.0/me",
        "send": "/v1.0/me/sendMail",
    },
    access_prefix="EwBdemo-",
    access_length=2000,  # real ones have 1.5 to 4 kB
    refresh_prefix="M.demo-",
    at_a_time=4,
)
BRANDS = (GOOGLE, MICROSOFT)
