"""What is said of each reason.

The texts are marked for translation here and translated where they are shown, in the reader's language.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from portal.reasons import EARLIER, GIVE_UP, N_, Reason
from portal.reasons.account_words import ACCOUNT_WORDS, Words

Translate = Callable[[str], str]


WORDS: dict[Reason, Words] = {
    Reason.ACCOUNT_SUSPENDED: Words(
        N_("the mail account is suspended"),
        N_("Sign in at your provider's website: it says there why, and how the account is released."),
    ),
    Reason.ADDRESS_UNSUPPORTED: Words(
        N_("the mail server can't handle an address like this"),
        N_("Use an address without accents and other special letters before the @."),
    ),
    Reason.APP_PASSWORD_REQUIRED: Words(
        N_("the mail account needs an app password"),
        N_("Create an app password as the guide describes, and enter it instead of your normal password."),
    ),
    Reason.BAD_CREDENTIALS: Words(
        N_("user name or password of the mail account is wrong"),
        N_(
            "Check the username and enter the password once more. Gmail and many others need an app password; "
            "it ends when the account's own password is changed, so make it anew then."
        ),
    ),
    Reason.BASIC_AUTH_RETIRED: Words(
        N_("the mail provider no longer accepts passwords here"),
        N_(
            "An administrator at your provider can allow sending with a password (Microsoft: Authenticated SMTP). "
            "If that is no longer possible, choose another provider."
        ),
    ),
    Reason.BROWSER_SIGN_IN_REQUIRED: Words(
        N_("the mail provider asks for a sign-in in the browser first"),
        N_("Sign in to the mail account in your browser, confirm what the provider asks, and send the test once more."),
    ),
    Reason.CONTENT_REJECTED: Words(
        N_("the recipient's server took it for spam"),
        N_("Send from an address at your own domain, and set up SPF and DKIM at your mail provider."),
    ),
    Reason.DNS_FAILURE: Words(
        N_("a domain could not be looked up"),
        N_("Check the spelling of the outgoing server. If it is right, try again in a few minutes."),
    ),
    Reason.DOMAIN_AUTHENTICATION: Words(
        N_("the sender's domain doesn't allow this server to send for it"),
        N_("Set up SPF and DKIM for your domain at your mail provider, or use an address that belongs to the account."),
    ),
    Reason.DRIVER_PAUSED: Words(
        N_("your mail service is paused"),
        N_("Press “Resume” in the email configuration; everything that waits then goes out in order."),
    ),
    Reason.DRIVER_STOPPED: Words(
        N_("your mail service can't send at the moment"),
        N_("The email configuration says what it needs."),
    ),
    Reason.ENDED_BY_SUPPORT: Words(
        N_("your marketplace's support ended it, because it could not be sent"),
        N_("Ask your marketplace's support before you send it again."),
    ),
    Reason.EXPIRED: Words(
        N_("it could not be sent within %(hours)s hours"),
        N_("Send it once more when the cause is mended."),
    ),
    Reason.GREYLISTED: Words(
        N_("the recipient's server asked to try later"),
        N_("There is nothing to do: it is tried again by itself."),
    ),
    Reason.INTERRUPTED: Words(
        N_("sending was interrupted"),
        N_("Try once more."),
    ),
    Reason.IP_BLOCKED: Words(
        N_("the sending server is on a block list"),
        N_("Ask your mail provider to have its server taken off the list. Some let you allow our server."),
    ),
    Reason.LOCAL_ERROR: Words(
        N_("the mail server has a problem of its own"),
        N_("Try again in a few minutes. If it stays, ask your mail provider."),
    ),
    Reason.MAILBOX_FULL: Words(
        N_("the recipient's mailbox is full"),
        N_("Only the recipient can make room."),
    ),
    Reason.MESSAGE_TOO_LARGE: Words(
        N_("the message is too large"),
        N_("Make it smaller, or use a mail provider that accepts larger messages."),
    ),
    Reason.NO_LONGER_WANTED: Words(
        N_("it is no longer needed"),
        N_("There is nothing to do."),
    ),
    Reason.PLAN_DAILY_LIMIT: Words(
        N_("your plan's daily limit is reached"),
        N_("There is nothing to do: sending resumes automatically on the next day."),
    ),
    Reason.POLICY_REJECTED: Words(
        N_("the recipient's server refused it by its rules"),
        N_("The server's own words under Details mostly say which rule. Show them to your mail provider."),
    ),
    Reason.QUOTA_DAILY: Words(
        N_("the mail account's daily limit is reached"),
        N_(
            "There is nothing to do: sending goes on by itself as soon as there is room. "
            "If it happens often, a larger plan at your mail provider helps."
        ),
    ),
    Reason.RATE_LIMITED: Words(
        N_("too many messages in a short time"),
        N_("There is nothing to do: sending goes on by itself, more slowly."),
    ),
    Reason.RECIPIENT_DISABLED: Words(
        N_("the recipient's mailbox is closed"),
        N_("Ask the recipient for another address."),
    ),
    Reason.RELAY_DENIED: Words(
        N_("the mail server doesn't send to this recipient"),
        N_(
            "Check that you entered the outgoing server of your own account, and that your provider has approved "
            "the account for sending to everybody."
        ),
    ),
    Reason.RESTORED: Words(
        N_("it may have been sent already, before our service was restored from a back-up"),
        N_("Ask the recipient whether the message arrived before you send it again."),
    ),
    Reason.SECURITY_DEFAULTS: Words(
        N_("the organisation's security settings forbid this sign-in"),
        N_("An administrator of your Microsoft 365 has to allow Authenticated SMTP; the guide says where."),
    ),
    Reason.SEND_AS_DENIED: Words(
        N_("the mail account may not send from this address"),
        N_("Enter the account's own address as the from address, or one that the account may use."),
    ),
    Reason.SENDER_MAILBOX_FULL: Words(
        N_("the mail account's own mailbox is full"),
        N_("Make room in the mailbox that you send from."),
    ),
    Reason.SENDER_NOT_VERIFIED: Words(
        N_("the mail server doesn't know the sender's address"),
        N_("Confirm the from address or its domain at your mail provider, or enter one that is confirmed."),
    ),
    Reason.SERVICE_UNAVAILABLE: Words(
        N_("the mail server can't be reached at the moment"),
        N_("Check the outgoing server, the port and the encryption. If they are right, try again in a few minutes."),
    ),
    Reason.SET_ASIDE: Words(
        N_("sending it was interrupted several times, so we set it aside; your marketplace's support is looking at it"),
        N_("There is nothing to do: it is not lost, and your other emails are not affected."),
    ),
    Reason.SMTP_AUTH_DISABLED: Words(
        N_("sending with a password is switched off for the mail account"),
        N_("Switch it on at your provider as the guide describes; Microsoft calls it Authenticated SMTP."),
    ),
    Reason.TENANT_SUSPENDED: Words(
        N_("your marketplace has suspended the shop"),
        N_("Ask your marketplace's support. What waits is sent when the shop is active again."),
    ),
    Reason.TLS_FAILED: Words(
        N_("no secure connection to the mail server could be made"),
        N_(
            "Check the outgoing server and the encryption. The server's certificate must be valid and made out for "
            "exactly this name. Your password was not sent."
        ),
    ),
    Reason.TLS_REQUIRED: Words(
        N_("the mail server asks for a secure connection"),
        N_("Choose SSL with port 465 or TLS with port 587."),
    ),
    Reason.TOO_MANY_CONNECTIONS: Words(
        N_("too many connections at once"),
        N_("There is nothing to do: sending goes on by itself in a few minutes."),
    ),
    Reason.TOO_MANY_LOGINS: Words(
        N_("too many sign-ins in a short time"),
        N_("Wait half an hour before the next test, and close other programs that use this account."),
    ),
    Reason.UNKNOWN: Words(
        N_("the mail server refused it"),
        N_("The server's own words under Details say more. Show them to your mail provider."),
    ),
    Reason.UNKNOWN_RECIPIENT: Words(
        N_("this address does not exist"),
        N_("Check the spelling of the address."),
    ),
    Reason.UNREADABLE_SECRET: Words(
        N_("the password that is stored for the mail account can't be read any more"),
        N_("Enter the password once more in the email configuration, send a test email, then save."),
    ),
    Reason.WITHDRAWN: Words(
        N_("your marketplace withdrew it"),
        N_("There is nothing to do."),
    ),
    Reason.WITHDRAWN_LATE: Words(
        N_("your marketplace withdrew it, but it may have arrived before"),
        N_("There is nothing to do."),
    ),
} | ACCOUNT_WORDS


def phrase(reason: str | None, translate: Translate) -> str:
    """Why, as the rest of a sentence; an unknown reason says nothing rather than something wrong."""
    known = _words(reason)
    return translate(known.why) % {"hours": GIVE_UP // timedelta(hours=1)} if known else ""


def sentence(reason: str | None, translate: Translate) -> str:
    """Why, as a sentence of its own."""
    text = phrase(reason, translate) or translate(_UNKNOWN)
    return f"{text[0].upper()}{text[1:]}."


def fix(reason: str | None, translate: Translate) -> str:
    """What to do about it; empty for an unknown reason."""
    known = _words(reason)
    return translate(known.fix) if known else ""


_UNKNOWN = N_("something unexpected happened")


def _words(reason: str | None) -> Words | None:
    return WORDS.get(EARLIER.get(reason, reason)) if reason else None  # type: ignore[call-overload]  # equal to it
