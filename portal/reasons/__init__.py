"""Every reason that a message, a driver or a test can have; `words` says what people read of each."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum


def N_(text: str) -> str:
    """Mark a text for the catalogue (bin/translations); it is translated where it is shown."""
    return text


GIVE_UP = timedelta(hours=48)  # how long a message is tried; here, because the words name it


class Reason(StrEnum):
    """Why a message waits, ended or was refused; what the database keeps and the API shows."""

    ACCOUNT_SUSPENDED = "account_suspended"
    ADDRESS_UNSUPPORTED = "address_unsupported"
    APP_PASSWORD_REQUIRED = "app_password_required"
    BAD_CREDENTIALS = "bad_credentials"
    BAD_KEY = "bad_key"
    BASIC_AUTH_RETIRED = "basic_auth_retired"
    BROWSER_SIGN_IN_REQUIRED = "browser_sign_in_required"
    CONTENT_REJECTED = "content_rejected"
    DNS_FAILURE = "dns_failure"
    DOMAIN_AUTHENTICATION = "domain_authentication"
    DRIVER_PAUSED = "driver_paused"
    DRIVER_STOPPED = "driver_stopped"
    ENDED_BY_SUPPORT = "ended_by_support"
    EXPIRED = "expired"
    FORBIDDEN = "forbidden"
    GREYLISTED = "greylisted"
    INTERRUPTED = "interrupted"
    IP_BLOCKED = "ip_blocked"
    IP_NOT_ALLOWED = "ip_not_allowed"
    LOCAL_ERROR = "local_error"
    MAILBOX_FULL = "mailbox_full"
    MESSAGE_TOO_LARGE = "message_too_large"
    NO_LONGER_WANTED = "no_longer_wanted"
    OAUTH_ADMIN_CONSENT = "oauth_admin_consent"
    OAUTH_APP_BROKEN = "oauth_app_broken"
    OAUTH_BLOCKED_BY_POLICY = "oauth_blocked_by_policy"
    OAUTH_CODE_USED = "oauth_code_used"
    OAUTH_CONSENT = "oauth_consent"
    OAUTH_DECLINED = "oauth_declined"
    OAUTH_EXPIRED = "oauth_expired"
    OAUTH_INTERACTION = "oauth_interaction"
    OAUTH_NO_MAILBOX = "oauth_no_mailbox"
    OAUTH_REJECTED = "oauth_rejected"
    OAUTH_REVOKED = "oauth_revoked"
    OAUTH_STATE = "oauth_state"
    OAUTH_WRONG_ACCOUNT = "oauth_wrong_account"
    PLAN_DAILY_LIMIT = "plan_daily_limit"
    POLICY_REJECTED = "policy_rejected"
    QUOTA_DAILY = "quota_daily"
    QUOTA_PLAN = "quota_plan"
    RATE_LIMITED = "rate_limited"
    RECIPIENT_DISABLED = "recipient_disabled"
    RECIPIENT_SUPPRESSED = "recipient_suppressed"
    RELAY_DENIED = "relay_denied"
    RESTORED = "restored"
    SANDBOX = "sandbox"
    SECURITY_DEFAULTS = "security_defaults"
    SEND_AS_DENIED = "send_as_denied"
    SENDER_MAILBOX_FULL = "sender_mailbox_full"
    SENDER_NOT_VERIFIED = "sender_not_verified"
    SERVICE_UNAVAILABLE = "service_unavailable"
    SET_ASIDE = "set_aside"
    SETTINGS_WRONG = "settings_wrong"
    SMTP_AUTH_DISABLED = "smtp_auth_disabled"
    TENANT_SUSPENDED = "tenant_suspended"
    TLS_FAILED = "tls_failed"
    TLS_REQUIRED = "tls_required"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    TOO_MANY_LOGINS = "too_many_logins"
    UNKNOWN = "unknown"
    UNKNOWN_RECIPIENT = "unknown_recipient"
    UNREADABLE_SECRET = "unreadable_secret"
    WITHDRAWN = "withdrawn"
    WITHDRAWN_LATE = "withdrawn_late"


# What the version before wrote, and what stays in old log entries: read for one release (0.2).
EARLIER = {"driver_stands_still": Reason.DRIVER_STOPPED}
_CREDENTIALS = (
    Reason.BAD_CREDENTIALS, Reason.APP_PASSWORD_REQUIRED, Reason.BROWSER_SIGN_IN_REQUIRED, Reason.TOO_MANY_LOGINS,
)  # fmt: skip


def is_credentials(reason: str | None) -> bool:
    """Whether a wrong or outdated password may be behind it."""
    return reason in _CREDENTIALS


def needs_password(reason: str | None) -> bool:
    """Whether a driver stopped for this reason waits for another password."""
    return is_credentials(reason) or reason == Reason.UNREADABLE_SECRET
