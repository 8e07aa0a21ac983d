"""What a message says: its stored body, or, for a link with power, built at sending from what it is about."""

from __future__ import annotations

from typing import Protocol

from portal import reasons
from portal.config import settings
from portal.models import Driver, Tenant
from portal.models.message import Kind
from portal.reasons import words
from portal.services.emails import environment, shop_name
from portal.transport.mime.addresses import readable_address
from portal.transport.mime.attachments import Attachment
from portal.transport.mime.build import MailContent
from portal.transport.mime.recipients import read_stored

# Tells auto-responders not to answer. RFC 3834, 5: on mail that a program makes by itself, so on all but what a person
# has written to a customer, whose out-of-office answer that person wants to read.
AUTO_GENERATED = (("Auto-Submitted", "auto-generated"),)
WRITTEN_BY_A_PERSON = (Kind.CUSTOMER_MESSAGE,)


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
    @property
    def thread(self) -> str | None: ...


def stored(message: Stored, files: tuple[Attachment, ...] = ()) -> MailContent:
    """The content that the platform handed in."""
    thread = (("In-Reply-To", message.thread), ("References", message.thread)) if message.thread else ()
    return MailContent(
        subject=message.subject,
        text=message.text,
        html=message.html,
        reply_to=read_stored(message.reply_to),
        language=message.locale,
        headers=thread + (() if message.kind in WRITTEN_BY_A_PERSON else AUTO_GENERATED),
        attachments=files,
    )


# The templates of our own mails, by the kind of message: `templates/emails/<name>/{subject.txt,body.txt,body.html}`.
OURS = {
    Kind.VERIFICATION: "verification",  # asks whether an address belongs to the tenant
    Kind.SENDER_CONFIRMED: "sender_confirmed",  # says that it was, with a link that takes it back
    Kind.DRIVER_TEST: "driver_test",  # proves a driver's settings
    Kind.NOTICE: "driver_stopped",
    Kind.SIGN_IN: "sign_in",  # has a link that lets its reader in
    Kind.INVITATION: "invitation",  # says what somebody may do now, and where; lets nobody in by itself
}


def subject(kind: Kind, locale: str, **values: object) -> str:
    """The subject of a mail of ours, which is kept with the message and shown in the log."""
    rendered = environment.render(f"{OURS[kind]}/subject.txt", environment.known(locale), **values | _platform())
    return " ".join(rendered.split())


def build(kind: Kind, subject: str, locale: str, **values: object) -> MailContent:
    """A mail of ours, from the values that its templates name."""
    known = environment.known(locale)
    values |= {**_platform(), "subject": subject}
    return MailContent(
        subject=subject,
        text=environment.render(f"{OURS[kind]}/body.txt", known, **values).strip() + "\n",
        html=environment.render(f"{OURS[kind]}/body.html", known, **values),
        language=known,
        headers=AUTO_GENERATED,
    )


def driver_stopped(tenant: Tenant, driver: Driver, locale: str) -> MailContent:
    """The notice that a driver is stopped."""
    translate, shop = environment.translator(environment.known(locale)), shop_name.shown(tenant, locale)
    return build(
        Kind.NOTICE,
        subject(Kind.NOTICE, locale, tenant=shop),
        locale,
        tenant=shop,
        held_mail=tenant.held_mail,
        host=readable_address(driver.host),
        reason=driver.reason,
        link=f"{settings().base_url}/settings/email",
        why=words.sentence(driver.reason, translate),
        fix=words.fix(driver.reason, translate),
        is_credentials=reasons.is_credentials(driver.reason),
        needs_password=reasons.needs_password(driver.reason),
    )


def platform_name() -> str:
    """As people know the marketplace."""
    return settings().default_mailbox.name or readable_address(settings().default_mailbox.address)


def _platform() -> dict[str, object]:
    return {"platform": platform_name(), "support_email": readable_address(settings().support_email)}
