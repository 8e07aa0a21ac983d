"""The rule table behind verdicts.classify: what providers' APIs answer, and what they mean by it.

Of a provider's rules the first that matches decides, then those of every provider (""), then STATUSES. Patterns see
codes and texts in lower case and match anywhere.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from portal.transport.base import Action

RETRY, FAIL, PAUSE, BACKOFF = Action
NOTHING = "-"  # nothing failed


class Rule(NamedTuple):
    """`statuses`, `code` and `text` must match all three."""

    statuses: re.Pattern[str]
    code: re.Pattern[str]
    text: re.Pattern[str]
    action: str
    reason: str


def _rule(statuses: str, action: str, reason: str, code: str = "", text: str = "") -> Rule:
    return Rule(re.compile(statuses), re.compile(code), re.compile(text), action, reason)


# What each status asks for where nothing more is known.
STATUSES: dict[int, tuple[str, str]] = {
    401: (PAUSE, "bad_key"),
    402: (PAUSE, "quota_plan"),
    403: (PAUSE, "forbidden"),
    404: (PAUSE, "settings_wrong"),
    405: (PAUSE, "settings_wrong"),
    406: (FAIL, "local_error"),
    407: (BACKOFF, "service_unavailable"),
    408: (RETRY, "service_unavailable"),  # it gave up waiting for our request
    409: (RETRY, "service_unavailable"),
    410: (PAUSE, "settings_wrong"),
    411: (FAIL, "local_error"),
    413: (FAIL, "message_too_large"),
    414: (FAIL, "local_error"),
    415: (FAIL, "local_error"),
    420: (BACKOFF, "rate_limited"),
    421: (BACKOFF, "service_unavailable"),
    423: (BACKOFF, "service_unavailable"),
    425: (RETRY, "service_unavailable"),
    429: (BACKOFF, "rate_limited"),
    431: (FAIL, "local_error"),
    502: (RETRY, "ambiguous"),
    503: (BACKOFF, "service_unavailable"),
    504: (RETRY, "ambiguous"),
    507: (BACKOFF, "service_unavailable"),
    509: (BACKOFF, "rate_limited"),
    # Of Cloudflare, which stands before many APIs: the server behind it was reached, or it wasn't.
    520: (RETRY, "ambiguous"),
    521: (BACKOFF, "service_unavailable"),
    522: (BACKOFF, "service_unavailable"),
    523: (BACKOFF, "service_unavailable"),
    524: (RETRY, "ambiguous"),
    525: (BACKOFF, "service_unavailable"),
    526: (BACKOFF, "service_unavailable"),
    529: (BACKOFF, "service_unavailable"),
    530: (BACKOFF, "service_unavailable"),
}

_TOO_LARGE = (
    r"too (large|big)|size (limit )?exceed|exceed\w* (the )?(maximum|max|allowed|size)[\w ]*size|maximum[\w ]* size"
)
_RECIPIENT = r"\brecipients?\b|\b(to|cc|bcc)\b[^a-z]*(header|address|field|param\w*|email)"

# fmt: off
RULES: dict[str, tuple[Rule, ...]] = {
    # https://developers.google.com/workspace/gmail/api/guides/handle-errors
    "gmail_api": (
        _rule("401", PAUSE, "oauth_rejected"),
        _rule("4..", PAUSE, "oauth_blocked_by_policy", "domainpolicy|admin_?policy|not_allowed_by_policy"),
        _rule("403", BACKOFF, "oauth_app_broken",
              r"accessnotconfigured|service_disabled|consumer_(invalid|suspended)|api_?key|project|billing"),
        _rule("403", BACKOFF, "oauth_app_broken", text=r"has not been used in project|is disabled"),
        _rule("403", PAUSE, "oauth_consent", r"insufficientpermissions|insufficient_?scope|scope_insufficient"),
        _rule("403", PAUSE, "oauth_consent", text=r"insufficient (authentication scopes|permission)"),
        _rule("4..", PAUSE, "account_suspended", r"account(disabled|deleted|suspended)|usersuspended"),
        _rule("4..", PAUSE, "account_suspended", text=r"account (is |has been )?(disabled|suspended|deleted)"),
        # "(Mail sending)" is the mailbox's limit of a day; the others are of a project and a second.
        _rule("403|429", BACKOFF, "quota_daily", text=r"mail sending|daily|per day|sending (limit|quota)"),
        _rule("403|429", BACKOFF, "quota_daily", r"dailylimit|daily_limit"),
        _rule("403|429", BACKOFF, "rate_limited", r"ratelimit|rate_limit|quotaexceeded|resource_?exhausted|toomany"),
        _rule("403", PAUSE, "send_as_denied", text=r"delegation denied|send as|from (header|address)"),
        _rule("4..", FAIL, "message_too_large", r"uploadtoolarge|toolarge|too_large"),
        _rule("4..", FAIL, "message_too_large", text=_TOO_LARGE),
        _rule("400|412", PAUSE, "oauth_no_mailbox", r"failedprecondition|failed_precondition"),
        _rule("4..", PAUSE, "oauth_no_mailbox", text=r"mail service not enabled|precondition check failed"),
        _rule("400", FAIL, "content_rejected", text=r"attachment|blocked|virus|malware|spam"),
        _rule("400", PAUSE, "send_as_denied", text=r"\b(from|sender)\b[^a-z]*(header|address)"),
        _rule("400", FAIL, "unknown_recipient", text=_RECIPIENT),
        _rule("400", FAIL, "local_error", "parseerror|invalidargument|invalid_argument",
              "raw|base64|mime|parse|media"),
    ),
    # https://learn.microsoft.com/graph/errors, and Exchange's own codes, which begin with Error
    "graph": (
        _rule("401", PAUSE, "oauth_rejected"),
        _rule("4..", PAUSE, "oauth_blocked_by_policy", text=r"conditional access|accesspolicy|access policy"),
        _rule("4..", PAUSE, "send_as_denied", r"senda|sendonbehalf|fromnotallowed|invalidsender|erroraccessdeniedsend"),
        _rule("4..", PAUSE, "send_as_denied", text=r"send (mail )?(as|on behalf)|sendas"),
        _rule("4..|5..", PAUSE, "oauth_no_mailbox",
              r"mailboxnotenabled|nonexistentmailbox|mailboxnotfound|invalidmailbox|missingemailaddress|nomailbox|"
              r"mailboxnotsupported|resourcenotfound|invaliduser|organizationfromtenantguidnotfound|mailboxhostedonprem"),
        _rule("4..", PAUSE, "oauth_no_mailbox", text=r"mailbox is (either )?inactive|on-premise|no mailbox"),
        _rule("...", PAUSE, "account_suspended", r"accountsuspend|submissionblocked|accountdisabled|accountblocked"),
        _rule("...", BACKOFF, "quota_daily",
              r"exceededmessagelimit|messageperday|dailylimit|submissionquota|recipientlimit"),
        _rule("...", BACKOFF, "quota_daily", text=r"(daily|per day|24[- ]hour)[\w ]*limit|limit[\w ]*(per day|daily)"),
        _rule("4..|507", PAUSE, "sender_mailbox_full", r"quotaexceeded|quotalimit|mailboxfull|storagelimit"),
        _rule("...", FAIL, "message_too_large", r"sizeexceed|sizelimit|toolarge|entitytoolarge|maxsize"),
        _rule("4..", FAIL, "message_too_large", text=_TOO_LARGE),
        _rule("4..", FAIL, "unknown_recipient", r"recipient|invalidemailaddress|invalidsmtpaddress"),
        _rule("4..", FAIL, "content_rejected", r"attachment|virus|spam|contentrejected|messageblocked"),
        _rule("4..", FAIL, "local_error", r"mime|invalidrequest|schemavalidation|requestbroken|mediatype|base64"),
        _rule("...", BACKOFF, "rate_limited", r"throttl|toomanyrequests|activitylimit|toomanyobjects"),
        _rule("4..|5..", BACKOFF, "service_unavailable",
              r"serverbusy|storeunavailable|moveinprogress|mailboxfailover|servicenotavailable|serviceunavailable"),
        _rule("400", FAIL, "unknown_recipient", text=_RECIPIENT),
        # A person's own token may always send as that person: what it lacks is the right, so it wasn't consented to.
        _rule("403", PAUSE, "oauth_consent", r"accessdenied|requestdenied|insufficient"),
    ),
    "ses": (
        _rule("400", PAUSE, "sandbox", "messagerejected|notverified", r"sandbox|failed the check\b.*<recipient>"),
        _rule("400", PAUSE, "sender_not_verified", "", r"not verified|failed the check"),
        _rule("400", PAUSE, "sender_not_verified", "notverified"),
        _rule("4..", PAUSE, "account_suspended", "sendingpaused|suspended"),
        _rule("4..", BACKOFF, "quota_daily", "", r"daily|24[- ]hour|per day"),
        _rule("4..", BACKOFF, "quota_daily", "limitexceeded"),
        _rule("4..", BACKOFF, "rate_limited", "throttl|toomanyrequests"),
        _rule("403", BACKOFF, "local_error", "requestexpired|requesttimetooskewed"),  # our clock
        _rule("403", BACKOFF, "local_error", "signaturedoesnotmatch", r"signature expired|not yet current"),
        _rule("403", PAUSE, "forbidden", "accessdenied|optinrequired|notauthorized"),
        _rule("40[0-3]", PAUSE, "bad_key", "token|signature|unrecognizedclient|authfailure|invalidclient|notsignedup"),
        _rule("404", PAUSE, "settings_wrong", "notfound"),
        _rule("400", FAIL, "message_too_large", "", r"message length|too (long|large)|maximum.*size"),
        _rule("400", FAIL, "recipient_suppressed", "", "suppression list"),
        _rule("400", FAIL, "content_rejected", "messagerejected"),
        _rule("400", FAIL, "unknown_recipient", "", r"(invalid|illegal) address|missing final|domain contains"),
    ),
    "postmark": (
        _rule("4..", PAUSE, "bad_key", "^10$"),
        _rule("422", BACKOFF, "service_unavailable", "^100$"),
        _rule("422", PAUSE, "sender_not_verified", "^40[01]$"),
        _rule("422", PAUSE, "sender_not_verified", "^300$", r"\bfrom\b"),
        _rule("422", FAIL, "unknown_recipient", "^300$", r"\b(to|cc|bcc|recipient)\b"),
        _rule("422", PAUSE, "quota_plan", "^405$"),
        _rule("422", FAIL, "recipient_suppressed", "^406$"),
        _rule("422", FAIL, "content_rejected", "^411$"),
        _rule("422", PAUSE, "sandbox", "^412$"),
        _rule("422", PAUSE, "account_suspended", "^413$"),
        _rule("422", PAUSE, "settings_wrong", "^12[0-9]{2}$"),
        _rule("422", FAIL, "local_error", "^(40[23479]|410|50[0-9])$"),
    ),
    "mailgun": (
        _rule("2..", PAUSE, "settings_wrong", "", "magnificent api"),
        _rule("4..", PAUSE, "ip_not_allowed", "", r"\bip\b.*(allow ?list|white ?list)"),
        _rule("4..", PAUSE, "sandbox", "", r"free accounts|authorized recipient|sandbox|test purposes"),
        _rule("4..", PAUSE, "account_suspended", "", r"activate|account is (disabled|suspended)|business verification"),
        _rule("4..", BACKOFF, "quota_daily", "", r"(daily|per day|monthly).*(limit|exceed)|limit.*(day|month)"),
        _rule("4..", BACKOFF, "rate_limited", "", r"(limit|exceed).*(hour|minute|second)|recipient limit exceeded"),
        _rule("4..", PAUSE, "sender_not_verified", "", r"domain not found|unverified|dns configuration"),
        _rule("404", PAUSE, "sender_not_verified"),
        _rule("400", FAIL, "unknown_recipient", "", r"'?\bto\b'? param|recipient"),
        _rule("400", PAUSE, "settings_wrong", "", r"'?\bfrom\b'? param"),
    ),
    "sendgrid": (
        _rule("4..", PAUSE, "quota_plan", "credits"),
        _rule("4..", PAUSE, "quota_plan", "", r"credits|billing|plan limit"),
        _rule("4..", PAUSE, "ip_not_allowed", "", r"ip address.*(white|allow)|(white|allow) ?list"),
        _rule("4..", PAUSE, "sender_not_verified", "", "sender identity|verified"),
        _rule("4..", PAUSE, "sender_not_verified", "sender identity"),
        _rule("4..", PAUSE, "account_suspended", "", "suspended|under review|disabled|deactivated"),
        _rule("400", PAUSE, "settings_wrong", "", r"field from"),
        _rule("400", FAIL, "unknown_recipient", "valid address"),
        _rule("400", FAIL, "unknown_recipient", "", r"valid address|personalizations\.\d+\.(to|cc|bcc)"),
    ),
    "resend": (
        _rule("4..", PAUSE, "bad_key", "(missing|invalid)_api_key"),
        _rule("4..", PAUSE, "bad_key", "", "api key is (invalid|missing)"),
        _rule("40[13]", NOTHING, "key_ok", "restricted_api_key"),
        _rule("4..", PAUSE, "sandbox", "", "testing emails|own email address"),
        _rule("4..", PAUSE, "sender_not_verified", "", r"(domain|from).*not verified|verify (a|your) domain"),
        _rule("4..", PAUSE, "settings_wrong", "invalid_from|invalid_region"),
        _rule("4..", PAUSE, "settings_wrong", "", r"\bfrom\b.*(field|address|invalid)|invalid .*\bfrom\b"),
        _rule("4..", FAIL, "content_rejected", "attachment|security_error"),
        _rule("4..", FAIL, "local_error", "invalid_idempotency_key|invalid_idempotent_request|method_not_allowed"),
        _rule("409", RETRY, "ambiguous", "concurrent_idempotent"),
        _rule("429", PAUSE, "quota_plan", "monthly_quota"),
        _rule("429", BACKOFF, "quota_daily", "daily_quota"),
        _rule("422", FAIL, "unknown_recipient", "", r"\bto\b.*(field|address)|field.*\bto\b"),
    ),
    "brevo": (
        _rule("4..", PAUSE, "ip_not_allowed", "", r"\bip\b.*address|authori[sz]ed ip"),
        _rule("4..", PAUSE, "quota_plan", "credits"),
        _rule("4..", PAUSE, "account_suspended", "account_under_validation"),
        _rule("4..", PAUSE, "account_suspended", "", "not (yet )?activated|suspended|under validation"),
        _rule("400", PAUSE, "sender_not_verified", "", r"\bsender\b"),
        _rule("400", FAIL, "unknown_recipient", "", r"email is not valid in (to|cc|bcc)|\b(to|cc|bcc)\b.*valid"),
        _rule("400", FAIL, "local_error", "missing_parameter|duplicate_parameter|method_not_allowed"),
    ),
    "mailjet": (
        _rule("4..", PAUSE, "sender_not_verified", "send-000[89]"),
        _rule("4..", PAUSE, "sender_not_verified", "", r"sender.*(validated|verified|active)"),
        _rule("4..", PAUSE, "account_suspended", "", "blocked|suspended"),
        _rule("400", FAIL, "unknown_recipient", "mj-0013"),
        _rule("400", FAIL, "local_error", "mj-0003"),
    ),
    "sparkpost": (
        _rule("4..", PAUSE, "bad_key", "^1900$"),
        _rule("409", RETRY, "ambiguous", "1601"),
        _rule("400", FAIL, "local_error", "160[02-9]"),
        _rule("4..", PAUSE, "sender_not_verified", "^7001$"),
        _rule("420", BACKOFF, "quota_daily", "", "day|daily|month"),
        _rule("4..", PAUSE, "account_suspended", "", "suspended|disabled"),
        _rule("4..", FAIL, "recipient_suppressed", "", "suppress"),
    ),
    "": (
        _rule("409", RETRY, "ambiguous", "idempoten"),
        _rule("409", RETRY, "ambiguous", "", "idempoten"),
    ),
}
# fmt: on
