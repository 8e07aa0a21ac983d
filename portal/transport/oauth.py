"""OAuth 2.0: what a refused sign-in, a refused renewal or a refused token means.

The error decides the action; a provider's own number (Microsoft: AADSTS...) chooses the words alone, since numbers
change without notice. The one exception is a number that blames the platform's own app: no merchant can mend that, so
nobody's driver is paused for it.
"""

from __future__ import annotations

import re

from portal.transport.base import Action, Verdict
from portal.transport.smtp import replies

NOTHING = "-"  # an action: nothing that is stored changes
REFRESH_TOKEN = "refresh_token"  # an action: renew the token and try once more on a new connection, then pause

# `where` a sign-in failed: its page, its return to us, the exchange of its code; the renewal of its token; its use.
SIGNING_IN = ("authorize", "callback", "code")

_MOST_READ = 2000  # characters of an error or a code

# What needs a person with the account. Any other refusal of a renewal waits: a wrong pause would stop a good driver.
_NEEDS_PERSON = {
    "access_denied": "oauth_revoked",
    "account_restricted": "account_suspended",
    "account_selection_required": "oauth_interaction",
    "admin_policy_enforced": "oauth_blocked_by_policy",
    "consent_required": "oauth_consent",
    "interaction_required": "oauth_interaction",
    "invalid_grant": "oauth_revoked",
    "login_required": "oauth_interaction",
    "policy_enforced": "oauth_blocked_by_policy",
    "user_disabled": "account_suspended",
}
# What passes by itself (RFC 6749 section 4.1.2.1, and what providers add to it).
_PASSES = {
    "internal_failure": "service_unavailable",
    "internal_error": "service_unavailable",
    "backend_error": "service_unavailable",
    "backenderror": "service_unavailable",
    "server_error": "service_unavailable",
    "service_unavailable": "service_unavailable",
    "service_not_available": "service_unavailable",
    "temporarily_unavailable": "service_unavailable",
    "unavailable": "service_unavailable",
    "quota_exceeded": "rate_limited",
    "rate_limit_exceeded": "rate_limited",
    "ratelimitexceeded": "rate_limited",
    "resource_exhausted": "rate_limited",
    "slow_down": "rate_limited",
    "throttled": "rate_limited",
    "too_many_requests": "rate_limited",
}
# Errors that blame the request or the app that made it, so the operator: invalid_client, unauthorized_client,
# deleted_client, invalid_scope, unsupported_grant_type, redirect_uri_mismatch, org_internal, disallowed_useragent ...
_OPERATORS = re.compile(
    r"client|scope|grant_type|response_type|response_mode|request|redirect_uri|resource|target|audience|origin|"
    r"org_internal|useragent|api_key|project|app_(not|disabled)|not_configured"
)

# Microsoft's numbers, by what is to be said.
_NUMBERS: dict[str, frozenset[int]] = {
    "oauth_app_broken": frozenset({
        16003, 50011, 50012, 50019, 50194, 50196, 65002, 65005, 70001, 70002, 70003, 70005, 70007, 70011, 70018,
        75001, 90013, 90014, 90016, 90023, 220450, 240001, 500112, 500113, 500117, 650051, 650053, 650054, 650056,
        650057, 700011, 700016, 700022, 700023, 700024, 700025, 700027, 700030, 700038, 700051, 700054, 700084,
        700211, 700212, 700213, 900144, 900382, 900491, 900971, 1002016, 7000112, 7000113, 7000114, 7000215, 7000216,
        7000217, 7000218, 7000219, 7000222, 7000229, 7500529, 9002313, 9002325, 9002326, 9002327, 9002341,
    }),
    "oauth_admin_consent": frozenset({90008, 90092, 90093, 90094, 90095, 90096, 90097, 900941, 900942}),
    "oauth_blocked_by_policy": frozenset({
        50005, 50105, 50131, 50185, 50187, 53000, 53001, 53002, 53003, 53004, 53005, 53009, 53010, 53011, 53100, 54000,
        135011, 500021, 500083, 530001, 530002, 530003, 530021, 530031, 530032, 530033, 530034, 530035, 530036, 901002,
        5000224, 500014, 7000110,
    }),
    "oauth_consent": frozenset({65001, 65003}),
    "oauth_declined": frozenset({65004, 650041}),
    "oauth_no_mailbox": frozenset({50001, 500011, 650052}),
    "oauth_wrong_account": frozenset({
        16001, 16002, 50020, 50034, 50049, 50059, 50107, 50128, 50177, 50178, 51004, 90002, 90072, 90100, 90124,
        500200, 500201, 500202, 500207, 500208, 500212, 500213, 700003, 1003031,
    }),
    "account_suspended": frozenset({50053, 50057}),
    "oauth_interaction": frozenset({
        16000, 50058, 50061, 50072, 50074, 50076, 50078, 50079, 50085, 50097, 50125, 50127, 50129, 50130, 50140, 50155,
        50158, 50199, 53008, 70046, 81010, 399218, 399284, 500119, 500121, 500133,
    }),
    "oauth_expired": frozenset({70000, 70008, 70043, 70044, 700081, 700082, 700083, 700230}),
    "oauth_revoked": frozenset({50013, 50014, 50055, 50056, 50126, 50132, 50133, 50144, 50173, 70051, 90086}),
    "oauth_code_used": frozenset({50089, 50088, 50148, 54005, 54009, 501481, 700005, 700007, 700009, 90036}),
    "rate_limited": frozenset({90055, 90024, 900561, 50049106, 900383}),
    "service_unavailable": frozenset({
        20033, 50000, 50008, 90006, 90007, 90010, 90012, 90020, 90025, 90033, 90038, 90046, 90051, 90085, 90087, 90091,
        90098, 500089, 500171, 900384,
    }),
}  # fmt: skip
_REASON_OF = {number: reason for reason, numbers in _NUMBERS.items() for number in numbers}
_NUMBER = re.compile(r"(?<![\d.])(?:aadsts)?(\d{5,8})(?![\d.])", re.I)

# What else a provider says beside its error: Google's subtype, or words. The first that matches decides.
_WORDS = (
    ("oauth_interaction", re.compile(r"invalid_rapt|rapt_required|reauth|basic_action|additional_action")),
    ("oauth_admin_consent", re.compile(r"approval|admin(istrator)?('s)? consent|consent[\w ]* admin")),
    ("oauth_blocked_by_policy", re.compile(r"admin_policy|policy_enforced|conditional access|protection_policy")),
    ("oauth_app_broken", re.compile(r"test(ing)? (user|mode|phase)|unverified app|verification process")),
    ("oauth_consent", re.compile(r"consent_required")),
    ("account_suspended", re.compile(r"account (has been |was |is )?(deleted|disabled|suspended)|user_disabled")),
    ("oauth_revoked", re.compile(r"user_password_expired|password (has )?(expired|changed)|bad_token|token_revoked")),
)
_PERSON = frozenset({
    "account_suspended", "oauth_blocked_by_policy", "oauth_consent", "oauth_expired", "oauth_interaction",
    "oauth_no_mailbox", "oauth_revoked", "oauth_wrong_account",
})  # fmt: skip
# What only a person who just signed in can have done, in the words for a grant that was lost.
_AT_RENEWAL = {
    "oauth_admin_consent": "oauth_admin_consent",
    "oauth_code_used": "oauth_expired",
    "oauth_declined": "oauth_consent",
    "oauth_wrong_account": "oauth_revoked",
}
_AT_SIGN_IN = {
    "access_denied": "oauth_declined",
    "invalid_grant": "oauth_code_used",
    "user_cancelled": "oauth_declined",
}

# What we find ourselves when a person comes back, told in parentheses. The first that matches decides.
_OWN_FINDINGS = (
    ("oauth_app_broken", re.compile(r"refresh.?token")),
    ("oauth_consent", re.compile(r"scope|consent|permission")),
    ("oauth_state", re.compile(r"state|nonce|issuer|\biss\b|session|user|tenant|id.?token|code")),
    ("oauth_wrong_account", re.compile(r"account|address|subject|mailbox")),
    ("service_unavailable", re.compile(r"no answer|time|html|http")),
)


def classify(provider: str, where: str, error: str, code: str) -> Verdict:
    """The verdict on a refused sign-in (`where` authorize, callback, code), renewal (refresh) or token (smtp).

    `error` is what the provider calls it; what has no name stands in parentheses: (no answer), (HTML), (HTTP 429). At
    smtp it is the whole reply, code first. `code` is the provider's own number, subtype or words, "" if none. Actions
    are those of portal.transport.base and NOTHING and REFRESH_TOKEN.
    """
    error, code = error.strip()[:_MOST_READ], code.strip()[:_MOST_READ]
    if where == "smtp":
        return _at_smtp(error)
    if where in SIGNING_IN:
        return Verdict(NOTHING, _signing_in(provider, where, error.lower(), code.lower()), scope="session")
    action, reason = _renewing(provider, error.lower(), code.lower())
    return Verdict(action, reason, scope="session")


def _signing_in(provider: str, where: str, error: str, code: str) -> str:
    if where == "callback" and error.startswith("("):
        return next((reason for reason, pattern in _OWN_FINDINGS if pattern.search(error)), "oauth_state")
    told = _told(provider, code)
    if where == "code" and told in ("oauth_expired", "oauth_revoked"):
        return "oauth_code_used"  # said of the code that was to be exchanged
    if told:
        return told
    if passing := _passing(error):
        return passing
    if error in _AT_SIGN_IN:
        return _AT_SIGN_IN[error]
    return _NEEDS_PERSON.get(error) or "oauth_app_broken"  # else it blames our request, or is unheard of


def _renewing(provider: str, error: str, code: str) -> tuple[str, str]:
    """Action and reason. Unknown errors wait: the mail is kept, and the operator sees the renewals fail."""
    told = _told(provider, code)
    if told == "oauth_app_broken":
        return Action.BACKOFF_DRIVER, told
    if passing := _passing(error):
        return Action.BACKOFF_DRIVER, told if told in ("rate_limited", "service_unavailable") else passing
    if error in _NEEDS_PERSON or (error == "invalid_resource" and told == "oauth_no_mailbox"):
        told = _AT_RENEWAL.get(told, told)
        known = told in _PERSON or told == "oauth_admin_consent"
        return Action.PAUSE_DRIVER, told if known else _NEEDS_PERSON[error]
    if _OPERATORS.search(error):
        return Action.BACKOFF_DRIVER, "oauth_app_broken"
    return Action.BACKOFF_DRIVER, "service_unavailable"


def _told(provider: str, code: str) -> str:
    """The reason that the provider's number or words give, "" if they say nothing that is known."""
    for number in _NUMBER.findall(code) if provider != "google" else ():
        if reason := _REASON_OF.get(int(number)):
            return reason
    return next((reason for reason, pattern in _WORDS if pattern.search(code)), "")


def _passing(error: str) -> str:
    """The reason of an error that goes by, "" for any other. What came without JSON is a defect of theirs."""
    if error in _PASSES:
        return _PASSES[error]
    if found := re.fullmatch(r"\(?(?:http )?(\d{3})\b.*", error, re.S):
        status = int(found[1])
        if status == 429:
            return "rate_limited"
        return "" if status < 500 and status != 408 and "html" not in error else "service_unavailable"
    return "service_unavailable" if not error or error.startswith("(") else ""


def _at_smtp(reply: str) -> Verdict:
    """A token that is minutes old is never a wrong password: a refusal asks for another token first."""
    found = re.match(r"(\d{3})[ -]?", reply)
    code, text = (int(found[1]), reply[found.end() :]) if found else (535, reply)
    if code < 400:  # the challenge that holds Google's error, and no end after it
        return Verdict(REFRESH_TOKEN, "oauth_rejected", scope="session")
    if code == 500 or "line too long" in text.lower() or re.match(r"5\.5\.[246]\b", text):
        return Verdict(NOTHING, "local_error", scope="session")  # what we wrote was no good, whatever the token
    verdict = replies.classify("auth", code, text)
    if verdict.reason in ("bad_credentials", "app_password_required", "browser_sign_in_required", "unknown"):
        return Verdict(REFRESH_TOKEN, "oauth_rejected", scope="session")
    return verdict
