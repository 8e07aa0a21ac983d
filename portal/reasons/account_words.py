"""What is said of the reasons that only an account used by sign-in at its provider, or by a key, can have."""

from __future__ import annotations

from typing import NamedTuple

from portal.reasons import N_, Reason


class Words(NamedTuple):
    """`why` is the rest of a sentence; `fix` says what to do about it."""

    why: str
    fix: str


ACCOUNT_WORDS: dict[Reason, Words] = {
    Reason.BAD_KEY: Words(
        N_("the provider doesn't accept the key"),
        N_("Copy the key again from your provider's website. A new key may be needed if the old one was deleted."),
    ),
    Reason.FORBIDDEN: Words(
        N_("the email account isn't allowed to send"),
        N_("Give the account or the key the right to send email on your provider's website."),
    ),
    Reason.IP_NOT_ALLOWED: Words(
        N_("the provider only accepts certain servers, and ours isn't one of them"),
        N_("Add our server to the allowed IP addresses on your provider's website, or turn that list off."),
    ),
    Reason.OAUTH_ADMIN_CONSENT: Words(
        N_("an administrator of your organisation has to approve the sign-in first"),
        N_("Ask your administrator to approve it, then sign in again."),
    ),
    Reason.OAUTH_APP_BROKEN: Words(
        N_("your marketplace's sign-in with this provider is being repaired"),
        N_("There is nothing to do: your marketplace has been told, and sending resumes automatically."),
    ),
    Reason.OAUTH_BLOCKED_BY_POLICY: Words(
        N_("your organisation's rules block the sign-in"),
        N_("Ask your administrator to allow this app, then sign in again."),
    ),
    Reason.OAUTH_CODE_USED: Words(
        N_("the sign-in was interrupted or took too long"),
        N_("Please start the sign-in again."),
    ),
    Reason.OAUTH_CONSENT: Words(
        N_("the permission to send email wasn't given"),
        N_("Sign in again, and allow sending email when your provider asks."),
    ),
    Reason.OAUTH_DECLINED: Words(
        N_("the sign-in was cancelled"),
        N_("Nothing was changed. Start the sign-in again whenever you like, and accept what your provider asks."),
    ),
    Reason.OAUTH_EXPIRED: Words(
        N_("the sign-in has expired"),
        N_("Sign in again with the same account."),
    ),
    Reason.OAUTH_INTERACTION: Words(
        N_("the provider wants you to confirm your identity again"),
        N_(
            "Sign in again with the same account, and confirm what your provider asks. If this happens often, ask your "
            "administrator to exempt this app."
        ),
    ),
    Reason.OAUTH_NO_MAILBOX: Words(
        N_("this account has no mailbox to send from"),
        N_("Sign in with an account that has a mailbox, or ask your administrator for one."),
    ),
    Reason.OAUTH_REJECTED: Words(
        N_("the provider no longer accepts our sign-in"),
        N_("Sign in again with the same account."),
    ),
    Reason.OAUTH_REVOKED: Words(
        N_("access to the email account was withdrawn, for example because its password was changed"),
        N_("Sign in again with the same account."),
    ),
    Reason.OAUTH_STATE: Words(
        N_("the sign-in is no longer valid"),
        N_("Please start the sign-in again, and finish it within ten minutes in the same browser."),
    ),
    Reason.OAUTH_WRONG_ACCOUNT: Words(
        N_("the sign-in was with a different account"),
        N_("Sign in with the account you want to send from."),
    ),
    Reason.QUOTA_PLAN: Words(
        N_("your plan with the email provider is used up"),
        N_("Choose a larger plan with your provider, or wait for the next billing period."),
    ),
    Reason.RECIPIENT_SUPPRESSED: Words(
        N_("your email provider has blocked this recipient, usually after earlier emails bounced"),
        N_("Remove the address from the block list on your provider's website if it is correct."),
    ),
    Reason.SANDBOX: Words(
        N_("the account with the provider is only good for testing"),
        N_("Ask your provider to approve the account for sending to everyone."),
    ),
    Reason.SETTINGS_WRONG: Words(
        N_("the settings don't match the account with the provider"),
        N_("Check the domain, the region and the from address."),
    ),
}
