"""What a message says: its stored body, or, for a link with power, built at sending from what it is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from portal import reasons
from portal.config import settings
from portal.models import Driver, SenderIdentity, Tenant, User
from portal.services.emails import environment
from portal.transport.mime.attachments import Attachment
from portal.transport.mime.build import MailContent

# Tells auto-responders not to answer. RFC 3834, 5: on mail that a program makes by itself, so on all but what a person
# has written to a customer, whose out-of-office answer that person wants to read.
AUTO_GENERATED = (("Auto-Submitted", "auto-generated"),)
WRITTEN_BY_A_PERSON = ("customer_message",)


class Stored(Protocol):
    """A message and its body, as they were handed in."""

    @property
    def kind(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def text(self) -> str | None: ...
    @property
    def html(self) -> str | None: ...
    @property
    def reply_to(self) -> str | None: ...
    @property
    def locale(self) -> str | None: ...


def stored(message: Stored, files: tuple[Attachment, ...] = ()) -> MailContent:
    """The content that the platform handed in."""
    return MailContent(
        subject=message.subject,
        text=message.text,
        html=message.html,
        reply_to=message.reply_to,
        language=message.locale,
        headers=() if message.kind in WRITTEN_BY_A_PERSON else AUTO_GENERATED,
        attachments=files,
    )


def verification(identity: SenderIdentity, tenant: Tenant, subject: str, link: str, locale: str) -> MailContent:
    """The mail that asks whether an address belongs to the tenant."""
    context = {"tenant": tenant.name, "address": identity.address, "link": link, "platform": platform_name()}
    return _render("verification", subject, locale, context)


def verification_subject(tenant: Tenant, locale: str) -> str:
    """Its subject, which is kept with the message and shown in the log."""
    return _subject("verification", locale, tenant=tenant.name)


def driver_test(tenant: Tenant, subject: str, sender: str, locale: str) -> MailContent:
    """The mail that proves a driver's settings."""
    return _render("driver_test", subject, locale, {"tenant": tenant.name, "sender": sender})


def driver_test_subject(tenant: Tenant, locale: str) -> str:
    return _subject("driver_test", locale, tenant=tenant.name)


def driver_stopped(tenant: Tenant, driver: Driver, locale: str) -> MailContent:
    """The notice that a driver is stopped."""
    translate = environment.translator(environment.known(locale))
    context = {
        "tenant": tenant.name,
        "held_mail": tenant.held_mail,
        "host": driver.host,
        "reason": driver.reason,
        "link": f"{settings().base_url}/settings/email",
        "why": reasons.sentence(driver.reason, translate),
        "fix": reasons.fix(driver.reason, translate),
        "is_credentials": reasons.is_credentials(driver.reason),
        "needs_password": reasons.needs_password(driver.reason),
    }
    return _render("driver_stopped", _subject("driver_stopped", locale, tenant=tenant.name), locale, context)


def sign_in(subject: str, link: str, locale: str) -> MailContent:
    """The mail with a link that lets its reader in."""
    return _render("sign_in", subject, locale, {"link": link, "platform": platform_name()})


def sign_in_subject(locale: str) -> str:
    return _subject("sign_in", locale, platform=platform_name())


def invitation(tenant: Tenant, by: User, role: str, locale: str) -> MailContent:
    """The mail that tells somebody what they may do now, and where; it lets nobody in by itself."""
    subject = _subject("invitation", locale, tenant=tenant.name)
    context = {"tenant": tenant.name, "by": by.email, "role": role, "platform": platform_name()}
    return _render("invitation", subject, locale, context | {"link": f"{settings().base_url}/sign-in"})


def _subject(name: str, locale: str, **context: object) -> str:
    return " ".join(environment.render(f"{name}/subject.txt", environment.known(locale), **context).split())


def _render(name: str, subject: str, locale: str, context: Mapping[str, object]) -> MailContent:
    """Render `emails/<name>/{body.txt,body.html}`."""
    known = environment.known(locale)
    values = {**context, "subject": subject, "support_email": settings().support_email}
    return MailContent(
        subject=subject,
        text=environment.render(f"{name}/body.txt", known, **values).strip() + "\n",
        html=environment.render(f"{name}/body.html", known, **values),
        language=known,
        headers=AUTO_GENERATED,
    )


def platform_name() -> str:
    """As people know the marketplace."""
    return settings().default_mailbox.name or settings().default_mailbox.address
