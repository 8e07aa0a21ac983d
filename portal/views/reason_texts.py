"""Why a message or a test did not go through: for each reason the words, and what mends it."""

from __future__ import annotations

from portal.web.i18n import gettext, lazy_gettext

# Reason: (why, as the rest of a sentence; what to do about it). Keys: transport.replies.REASONS, and our own below.
_TEXTS = {
    "account_suspended": (
        lazy_gettext("the mail account is suspended"),
        lazy_gettext("Sign in at your provider's website: it says there why, and how the account is released."),
    ),
    "address_unsupported": (
        lazy_gettext("the mail server can't handle an address like this"),
        lazy_gettext("Use an address without accents and other special letters before the @."),
    ),
    "app_password_required": (
        lazy_gettext("the mail account needs an app password"),
        lazy_gettext("Create an app password as the guide describes, and enter it instead of your normal password."),
    ),
    "bad_credentials": (
        lazy_gettext("user name or password of the mail account is wrong"),
        lazy_gettext(
            "Check the username and enter the password once more. Gmail and many others need an app password; "
            "it ends when the account's own password is changed, so make it anew then."
        ),
    ),
    "basic_auth_retired": (
        lazy_gettext("the mail provider no longer accepts passwords here"),
        lazy_gettext(
            "An administrator at your provider can allow sending with a password (Microsoft: Authenticated SMTP). "
            "If that is no longer possible, choose another provider."
        ),
    ),
    "browser_sign_in_required": (
        lazy_gettext("the mail provider asks for a sign-in in the browser first"),
        lazy_gettext(
            "Sign in to the mail account in your browser, confirm what the provider asks, and send the test once more."
        ),
    ),
    "content_rejected": (
        lazy_gettext("the recipient's server took it for spam"),
        lazy_gettext("Send from an address at your own domain, and set up SPF and DKIM at your mail provider."),
    ),
    "dns_failure": (
        lazy_gettext("a domain could not be looked up"),
        lazy_gettext("Check the spelling of the outgoing server. If it is right, try again in a few minutes."),
    ),
    "domain_authentication": (
        lazy_gettext("the sender's domain doesn't allow this server to send for it"),
        lazy_gettext(
            "Set up SPF and DKIM for your domain at your mail provider, or use an address that belongs to the account."
        ),
    ),
    "driver_paused": (
        lazy_gettext("your mail service is paused"),
        lazy_gettext("Press “Resume” in the email configuration; everything that waits then goes out in order."),
    ),
    "driver_stands_still": (
        lazy_gettext("your mail service can't send at the moment"),
        lazy_gettext("The email configuration says what it needs."),
    ),
    "expired": (
        lazy_gettext("it could not be sent within 48 hours"),
        lazy_gettext("Send it once more when the cause is mended."),
    ),
    "greylisted": (
        lazy_gettext("the recipient's server asked to try later"),
        lazy_gettext("There is nothing to do: it is tried again by itself."),
    ),
    "interrupted": (
        lazy_gettext("sending was interrupted"),
        lazy_gettext("Try once more."),
    ),
    "ip_blocked": (
        lazy_gettext("the sending server is on a block list"),
        lazy_gettext("Ask your mail provider to have its server taken off the list. Some let you allow our server."),
    ),
    "local_error": (
        lazy_gettext("the mail server has a problem of its own"),
        lazy_gettext("Try again in a few minutes. If it stays, ask your mail provider."),
    ),
    "mailbox_full": (
        lazy_gettext("the recipient's mailbox is full"),
        lazy_gettext("Only the recipient can make room."),
    ),
    "message_too_large": (
        lazy_gettext("the message is too large"),
        lazy_gettext("Make it smaller, or use a mail provider that accepts larger messages."),
    ),
    "no_longer_wanted": (
        lazy_gettext("it is no longer needed"),
        lazy_gettext("There is nothing to do."),
    ),
    "policy_rejected": (
        lazy_gettext("the recipient's server refused it by its rules"),
        lazy_gettext("The server's own words under Details mostly say which rule. Show them to your mail provider."),
    ),
    "quota_daily": (
        lazy_gettext("the mail account's daily limit is reached"),
        lazy_gettext(
            "There is nothing to do: sending goes on by itself as soon as there is room. "
            "If it happens often, a larger plan at your mail provider helps."
        ),
    ),
    "rate_limited": (
        lazy_gettext("too many messages in a short time"),
        lazy_gettext("There is nothing to do: sending goes on by itself, more slowly."),
    ),
    "recipient_disabled": (
        lazy_gettext("the recipient's mailbox is closed"),
        lazy_gettext("Ask the recipient for another address."),
    ),
    "relay_denied": (
        lazy_gettext("the mail server doesn't send to this recipient"),
        lazy_gettext(
            "Check that you entered the outgoing server of your own account, and that your provider has approved "
            "the account for sending to everybody."
        ),
    ),
    "restored": (
        lazy_gettext("it may have been sent already, before our service was restored from a back-up"),
        lazy_gettext("Ask the recipient whether the message arrived before you send it again."),
    ),
    "security_defaults": (
        lazy_gettext("the organisation's security settings forbid this sign-in"),
        lazy_gettext("An administrator of your Microsoft 365 has to allow Authenticated SMTP; the guide says where."),
    ),
    "send_as_denied": (
        lazy_gettext("the mail account may not send from this address"),
        lazy_gettext("Enter the account's own address as the from address, or one that the account may use."),
    ),
    "sender_mailbox_full": (
        lazy_gettext("the mail account's own mailbox is full"),
        lazy_gettext("Make room in the mailbox that you send from."),
    ),
    "sender_not_verified": (
        lazy_gettext("the mail server doesn't know the sender's address"),
        lazy_gettext("Confirm the from address or its domain at your mail provider, or enter one that is confirmed."),
    ),
    "service_unavailable": (
        lazy_gettext("the mail server can't be reached at the moment"),
        lazy_gettext(
            "Check the outgoing server, the port and the encryption. If they are right, try again in a few minutes."
        ),
    ),
    "smtp_auth_disabled": (
        lazy_gettext("sending with a password is switched off for the mail account"),
        lazy_gettext("Switch it on at your provider as the guide describes; Microsoft calls it Authenticated SMTP."),
    ),
    "tls_failed": (
        lazy_gettext("no secure connection to the mail server could be made"),
        lazy_gettext(
            "Check the outgoing server and the encryption. The server's certificate must be valid and made out for "
            "exactly this name. Your password was not sent."
        ),
    ),
    "tls_required": (
        lazy_gettext("the mail server asks for a secure connection"),
        lazy_gettext("Choose SSL with port 465 or TLS with port 587."),
    ),
    "too_many_connections": (
        lazy_gettext("too many connections at once"),
        lazy_gettext("There is nothing to do: sending goes on by itself in a few minutes."),
    ),
    "too_many_logins": (
        lazy_gettext("too many sign-ins in a short time"),
        lazy_gettext("Wait half an hour before the next test, and close other programs that use this account."),
    ),
    "unknown": (
        lazy_gettext("the mail server refused it"),
        lazy_gettext("The server's own words under Details say more. Show them to your mail provider."),
    ),
    "unknown_recipient": (
        lazy_gettext("this address does not exist"),
        lazy_gettext("Check the spelling of the address."),
    ),
    "unreadable_secret": (
        lazy_gettext("the password that is stored for the mail account can't be read any more"),
        lazy_gettext("Enter the password once more in the email configuration, send a test email, then save."),
    ),
    "withdrawn": (
        lazy_gettext("your marketplace withdrew it"),
        lazy_gettext("There is nothing to do."),
    ),
    "withdrawn_late": (
        lazy_gettext("your marketplace withdrew it, but it may have arrived before"),
        lazy_gettext("There is nothing to do."),
    ),
}  # fmt: skip
KEYS = frozenset(_TEXTS)


def phrase(key: str | None) -> str:
    """Why, as the rest of a sentence; an unknown key says nothing rather than something wrong."""
    return str(_TEXTS[key][0]) if key in _TEXTS else ""


def sentence(key: str | None) -> str:
    """The same as a sentence of its own."""
    text = phrase(key) or gettext("something unexpected happened")
    return f"{text[0].upper()}{text[1:]}."


def fix(key: str | None) -> str:
    """What to do about it; empty for an unknown key."""
    return str(_TEXTS[key][1]) if key in _TEXTS else ""
