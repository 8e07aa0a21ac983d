"""What can go wrong at Google and Microsoft, in their own words: one entry per mood of the stand-ins."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """An answer in place of the right one.

    `error`: OAuth's error, Gmail's reason or Graph's code. `number`: Microsoft's AADSTS. `detail`: `suberror` at
    Microsoft, `error_subtype` at Google. `only`: the one grant type that it concerns.
    """

    label: str  # on the page of moods
    status: int = 400
    error: str = ""
    text: str = ""
    number: int = 0
    detail: str = ""
    only: str = ""
    html: bool = False
    waits: bool = False  # says Retry-After
    returns: bool = False  # the sign-in page sends the person back with the error


SLOW, CUT, LOST = "slow", "cut", "lost"
_BEHAVIOURS = {
    SLOW: Fault("answers very late, when the work is done"),
    CUT: Fault("does the work and cuts the connection without an answer"),
}
_HTML = {"html": Fault("an HTML error page (502)", 502, html=True)}
_AGAIN = "refresh_token"


def _dead(label: str, number: int, text: str, error: str = "invalid_grant", detail: str = "") -> Fault:
    return Fault(label, 400, error, text, number, detail, only=_AGAIN)


def _secret(label: str, number: int, text: str) -> Fault:
    return Fault(label, 401, "invalid_client", text, number)


ADMIN_APPROVAL, UNTICKED = "admin_approval", "unticked"
_SIGN_IN_GOOGLE = {
    UNTICKED: Fault("the box for sending is not ticked beforehand"),
    "blocked_by_admin": Fault("the Workspace admin blocks the app", 400, "admin_policy_enforced",
        "Your organization's administrator has blocked this app or one of the services that it asks for."),
    "org_internal": Fault("the app is of another organisation only", 403, "org_internal",
        "This app is restricted to users within its organization."),
    "unavailable": Fault("comes back with an error of the server", 503, "temporarily_unavailable",
        "Try again later.", returns=True),
    **_HTML, SLOW: Fault("the sign-in page comes very late"),
}  # fmt: skip
_SIGN_IN_MICROSOFT = {
    ADMIN_APPROVAL: Fault("needs approval by the administrator", 400, "access_denied",
        "An administrator of the organization must consent to the app.", 90094, returns=True),
    "no_exchange": Fault("the organisation has no Exchange Online", 400, "invalid_resource",
        "The resource principal named https://outlook.office.com was not found in the tenant.", 500011, returns=True),
    "wrong_account": Fault("a personal account where a work account is needed", 400, "interaction_required",
        "User account from identity provider 'live.com' does not exist in tenant 'Demo'.", 50020, returns=True),
    "unknown_app": Fault("the app is unknown in the tenant", 400, "unauthorized_client",
        "Application with this identifier was not found in the directory.", 700016),
    "unavailable": Fault("comes back with an error of the server", 503, "server_error",
        "The server encountered an unexpected error.", returns=True),
    **_HTML, SLOW: Fault("the sign-in page comes very late"),
}  # fmt: skip

STRICT, NO_SCOPE, TEXT_EXPIRY = "strict_rotation", "no_scope", "text_expiry"
_TOKENS_GOOGLE = {
    "revoked": _dead("the refresh token is dead", 0, "Token has been expired or revoked."),
    "reauthenticate": _dead("the Workspace asks to sign in again", 0, "reauth related error (invalid_rapt)",
        detail="invalid_rapt"),
    "blocked_by_admin": _dead("the Workspace admin blocks the app", 0,
        "Access to your account data is restricted by policies within your organization.", "admin_policy_enforced"),
    "invalid_client": _secret("the app's secret is wrong", 0, "Unauthorized"),
    "deleted_client": _secret("the app was deleted", 0, "The OAuth client was deleted."),
    "throttled": Fault("too many requests (429)", 429, "rate_limit_exceeded", "Rate limit exceeded.", waits=True),
    "unavailable": Fault("not available (503)", 503, "temporarily_unavailable", "Try again later.", waits=True),
    TEXT_EXPIRY: Fault("tells the token's life as text"),
    **_HTML, **_BEHAVIOURS,
}  # fmt: skip
_TOKENS_MICROSOFT = {
    "expired": _dead("the refresh token was not used for 90 days", 700082,
        "The refresh token has expired due to inactivity.", detail="token_expired"),
    "invalid": _dead("the refresh token is not valid", 70000, "The provided grant is invalid or malformed."),
    "revoked": _dead("the grant was revoked", 50173, "The provided grant has expired due to it being revoked."),
    "password_changed": _dead("the session ended with the password", 50133,
        "Session is invalid due to expiration or recent password change."),
    "password_expired": _dead("the password is too old", 50055, "The password is expired."),
    "second_factor": _dead("a second factor is asked for now", 50076,
        "Due to a configuration change made by your administrator, you must use multi-factor authentication.",
        "interaction_required", "basic_action"),
    "external_challenge": _dead("an external challenge is not met", 50158,
        "External security challenge not satisfied.", "interaction_required"),
    "spa": _dead("the app is registered as type spa", 700084,
        "The refresh token was issued to a single page app and therefore has a fixed, limited lifetime."),
    "invalid_client": _secret("the app's secret is wrong", 7000215, "Invalid client secret provided."),
    "secret_expired": _secret("the app's secret has expired", 7000222, "The provided client secret keys are expired."),
    "secret_missing": _secret("the app's secret is missing", 7000218,
        "The request body must contain the following parameter: client_assertion or client_secret."),
    "scope": Fault("the scope is not valid", 400, "invalid_scope", "The provided value for scope is not valid.", 70011),
    "loop": Fault("the app asks in a loop", 400, "invalid_grant", "The server terminated an operation because it "
        "encountered a client request loop.", 50196),
    "throttled": Fault("too many requests (429)", 429, "temporarily_unavailable",
        "The server is terminating this request due to throttling.", 90055, waits=True),
    "unavailable": Fault("not available (503)", 503, "server_error",
        "The service is temporarily unavailable.", 90033, waits=True),
    STRICT: Fault("each refresh token is good for one use"),
    NO_SCOPE: Fault("does not tell the scope"),
    TEXT_EXPIRY: Fault("tells the token's life as text"),
    **_HTML, **_BEHAVIOURS,
}  # fmt: skip

_LOST = {LOST: Fault("cuts the connection and takes no mail")}
_SENDING_GOOGLE = {
    "token_refused": Fault("the token is not accepted", 401, "authError", "Invalid Credentials"),
    "blocked_by_admin": Fault("the Workspace admin blocks the app", 403, "domainPolicy",
        "The domain administrators have disabled Gmail apps."),
    "no_mailbox": Fault("the account has no Gmail", 400, "failedPrecondition", "Mail service not enabled"),
    "recipient": Fault("the recipient is refused", 400, "invalidArgument", "Invalid To header"),
    "bad_request": Fault("the mail is refused", 400, "badRequest", "Bad Request"),
    "throttled": Fault("too many requests (429)", 429, "rateLimitExceeded", "Rate Limit Exceeded", waits=True),
    "daily_limit": Fault("the mailbox's day is used up", 429, "userRateLimitExceeded",
        "User-rate limit exceeded (Mail sending)", waits=True),
    "backend": Fault("an error of the server (500)", 500, "backendError", "Backend Error"),
    "unavailable": Fault("not available (503)", 503, "backendError", "The service is currently unavailable.",
        waits=True),
    **_HTML, **_BEHAVIOURS, **_LOST,
}  # fmt: skip
_SENDING_MICROSOFT = {
    "token_refused": Fault("the token is not accepted", 401, "InvalidAuthenticationToken",
        "Lifetime validation failed, the token is expired."),
    "denied": Fault("access is denied", 403, "ErrorAccessDenied",
        "Access is denied. Check credentials and try again."),
    "no_mailbox": Fault("the account has no mailbox", 404, "MailboxNotEnabledForRESTAPI",
        "The mailbox is either inactive, soft-deleted, or is hosted on-premise."),
    "recipient": Fault("the recipient is refused", 400, "ErrorInvalidRecipients",
        "At least one recipient is not valid."),
    "throttled": Fault("too many requests (429)", 429, "ApplicationThrottled",
        "Application is over its MailboxConcurrency limit.", waits=True),
    "daily_limit": Fault("the day's recipients are used up", 429, "ErrorExceededMessageLimit",
        "Cannot send mail. The message limit was exceeded."),
    "backend": Fault("an error of the server (500)", 500, "ErrorInternalServerError",
        "An internal server error occurred. The operation failed."),
    "unavailable": Fault("not available (503)", 503, "ErrorServerBusy", "The server is too busy.", waits=True),
    **_HTML, **_BEHAVIOURS, **_LOST,
}  # fmt: skip

_BUSY = Fault("a temporary failure", 454, text="4.7.0 Temporary authentication failure")
_SMTP_GOOGLE = {"busy": _BUSY}
_SMTP_MICROSOFT = {
    "busy": _BUSY,
    "disabled": Fault("authenticated SMTP is off", 535,
        text="5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit "
        "https://aka.ms/smtp_auth_disabled for more information."),
}  # fmt: skip

# Where something can go wrong, in the order of the page -> the moods there, by provider.
FAULTS: dict[str, dict[str, dict[str, Fault]]] = {
    "gmail": {
        "sign_in": _SIGN_IN_GOOGLE, "tokens": _TOKENS_GOOGLE, "sending": _SENDING_GOOGLE, "smtp": _SMTP_GOOGLE,
    },
    "microsoft365": {
        "sign_in": _SIGN_IN_MICROSOFT, "tokens": _TOKENS_MICROSOFT, "sending": _SENDING_MICROSOFT,
        "smtp": _SMTP_MICROSOFT,
    },
}  # fmt: skip
