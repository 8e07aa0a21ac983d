"""What a server's reply means: for this message, for its driver, and in plain words."""

from __future__ import annotations

import re
from functools import lru_cache

from portal.transport.base import Verdict
from portal.transport.smtp.reply_rules import BACKOFF, ENHANCED, FAIL, PAUSE, RETRY, RULES

# What a reason asks for after a 4yz, and after a 5yz.
ACTIONS: dict[str, tuple[str, str]] = {
    "account_suspended": (PAUSE, PAUSE),
    "address_unsupported": (FAIL, FAIL),
    "app_password_required": (PAUSE, PAUSE),
    "bad_credentials": (PAUSE, PAUSE),
    "basic_auth_retired": (PAUSE, PAUSE),
    "browser_sign_in_required": (PAUSE, PAUSE),
    "content_rejected": (RETRY, FAIL),
    "dns_failure": (RETRY, PAUSE),
    "domain_authentication": (RETRY, FAIL),
    "greylisted": (RETRY, RETRY),
    "ip_blocked": (BACKOFF, PAUSE),
    "local_error": (RETRY, RETRY),
    "mailbox_full": (RETRY, FAIL),
    "message_too_large": (FAIL, FAIL),
    "policy_rejected": (RETRY, FAIL),
    "quota_daily": (BACKOFF, BACKOFF),
    "rate_limited": (BACKOFF, BACKOFF),
    "recipient_disabled": (RETRY, FAIL),
    "relay_denied": (RETRY, PAUSE),
    "security_defaults": (PAUSE, PAUSE),
    "send_as_denied": (PAUSE, PAUSE),
    "sender_mailbox_full": (PAUSE, PAUSE),
    "sender_not_verified": (PAUSE, PAUSE),
    "service_unavailable": (RETRY, RETRY),
    "smtp_auth_disabled": (PAUSE, PAUSE),
    "tls_failed": (PAUSE, PAUSE),
    "tls_required": (PAUSE, PAUSE),
    "too_many_connections": (BACKOFF, BACKOFF),
    "too_many_logins": (BACKOFF, PAUSE),
    "unknown": (RETRY, FAIL),
    "unknown_recipient": (RETRY, FAIL),
}

# No mail is at stake yet in these phases, so what would fail or delay one concerns the driver as a whole.
_BEFORE_SIGN_IN = frozenset({"connect", "ehlo", "starttls"})
OPENING = _BEFORE_SIGN_IN | {"auth"}
# Reasons that nothing can have given cause for before a mail is spoken of.
_OF_A_MAIL = frozenset({"mailbox_full", "message_too_large", "recipient_disabled", "unknown_recipient"})
_ENHANCED = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})(?=\s|$)")
_NOISE = re.compile(r"https?://\S+|<[^<>\s]*>|\S+@\S+|\[[0-9a-f.: ]+\]")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_RETRY_IN = re.compile(
    r"""(?:\b(?:try|retry|again|wait|come\ back|resets?|(?:greylist|delay|deferr)ed)\b\D{0,20}?\b(?P<how>in|after|for)
        |\bwait|\bretry-after:?)\s+
    (?:(?:at\ least|about|around|approximately|another|up\ to|the\ next)\s+)?
    (?:\d+\s?(?:-|to)\s?)?
    (?:(?P<clock>\d{1,2}:\d\d(?::\d\d)?)(?!\w|:|\s*(?:[ap]m|utc|gmt)\b)
        |(?P<number>\d{1,6}(?:\.\d+)?|(?:an?|one)(?=\s+[smhd]))
        (?:\s*(?P<unit>s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?|d(?:ays?)?)\b|(?!\s*[\w:-]|\.\d)))""",
    re.I | re.X,
)


_MOST_READ = 4000  # characters: the rules' patterns look back and forth; the longest refusals known are below 3,000


def classify(phase: str, code: int, text: str) -> Verdict:
    """The verdict on a reply, or on its absence (code 0; text is lost, timeout, dns, tls or unsupported).

    `phase` is what had been sent: connect ehlo starttls auth mail rcpt data dot. `text` is everything after the code;
    lines may be joined by a line feed or by backslash and n.
    """
    return _without_reply(phase, text) if code == 0 else _with_reply(phase, code, text[:_MOST_READ])


@lru_cache(maxsize=256)
def _with_reply(phase: str, code: int, text: str) -> Verdict:
    enhanced, words = _normalised(text)
    codes = f"{code} {enhanced}".rstrip()
    for rule in RULES:
        if phase in rule.phases and rule.codes.search(codes) and rule.pattern.search(words):
            reason = rule.reason
            action = rule.action or _action(reason, phase, code)
            break
    else:
        reason = _by_code(phase, code, enhanced)
        action = _action(reason, phase, code)
    return _verdict(phase, action, reason, retry_after(text))


def mechanism_refused(code: int, text: str) -> bool:
    """Whether a reply to AUTH refuses the mechanism and not the password (RFC 4954 section 6)."""
    reason = classify("auth", code, text).reason
    if code == 534:
        return reason == "unknown" or "mechanism" in text.lower()
    return code in (502, 504) and reason in ("smtp_auth_disabled", "unknown")


def _verdict(phase: str, action: str, reason: str, wait: int | None = None) -> Verdict:
    """The verdict with its scope: what stops a driver, or is said before any mail, would meet the next mail too."""
    beyond_this_mail = phase in OPENING or action in (PAUSE, BACKOFF)
    return Verdict(action, reason, wait, "session" if beyond_this_mail else "message")


def _normalised(text: str) -> tuple[str, str]:
    """The enhanced status code ("" if none), and the words as the rules want them."""
    lines = re.split(r"\r?\n|\\n", text[:2000])
    first = _ENHANCED.match(lines[0])
    words = " ".join(_ENHANCED.sub("", line, count=1) for line in lines).lower()
    return first[1] if first else "", " ".join(_NOISE.sub(" ", words).split())


def _by_code(phase: str, code: int, enhanced: str) -> str:
    """The reason where no wording is known: from the enhanced code, else from the basic one in its phase."""
    reason = ENHANCED.get(enhanced[2:])
    if phase == "auth" or code in (530, 534, 535):
        if reason in ("account_suspended", "smtp_auth_disabled"):
            return reason
        if code < 500:
            return "service_unavailable"
        if code in (502, 504):  # the command, or the mechanism, is not there
            return "smtp_auth_disabled"
        return "bad_credentials" if code in (530, 535) or enhanced in ("5.7.3", "5.7.8") else "unknown"
    if code == 503:
        return "local_error"
    if reason:
        return _in_phase(reason, phase, code)
    if code == 552 and phase not in OPENING:
        return "mailbox_full" if phase == "rcpt" else "message_too_large"
    if code in (501, 553, 556) and phase in ("mail", "rcpt"):
        return "send_as_denied" if phase == "mail" else "unknown_recipient"
    if code < 500:
        return "service_unavailable" if code == 421 or phase in OPENING else "local_error"
    return "unknown"


def _in_phase(reason: str, phase: str, code: int) -> str:
    """What an enhanced code's reason comes to here."""
    if reason == "unknown_recipient" and phase == "mail":
        return "send_as_denied"
    if (reason == "service_unavailable" and code >= 500) or (reason in _OF_A_MAIL and phase in _BEFORE_SIGN_IN):
        return "unknown" if code >= 500 else "service_unavailable"
    return reason


def _action(reason: str, phase: str, code: int) -> str:
    temporary, permanent = ACTIONS[reason]
    action = temporary if code < 500 else permanent
    if action == FAIL and (phase in OPENING or (phase == "mail" and reason != "message_too_large")):
        return PAUSE  # nothing has been said of a recipient yet: the next mail would meet the same
    if action == RETRY and (phase in _BEFORE_SIGN_IN or (reason == "service_unavailable" and phase == "auth")):
        return BACKOFF
    if reason == "service_unavailable" and code == 421:
        return BACKOFF
    return action


def _without_reply(phase: str, text: str) -> Verdict:
    if text == "tls":  # a certificate that doesn't hold, no STARTTLS, no encryption before a password
        return _verdict(phase, PAUSE, "tls_required" if phase == "auth" else "tls_failed")
    if text == "unsupported":
        if phase in ("mail", "rcpt"):
            return _verdict(phase, FAIL, "address_unsupported")
        return _verdict(phase, PAUSE, "smtp_auth_disabled")
    if text == "dns":  # a name that worked when the driver was tested: it may well work again
        return _verdict(phase, BACKOFF, "dns_failure")
    if phase in OPENING:
        return _verdict(phase, BACKOFF, "service_unavailable")
    return _verdict(phase, RETRY, "service_unavailable")


def retry_after(text: str) -> int | None:
    """Seconds after which the server itself wants to be asked again, if it says so.

    A number alone means seconds; hours, minutes and perhaps seconds with colons are a time to wait after "in" (as
    milter-greylist writes it), else one of the day. What is not understood is not guessed at.
    """
    found = _RETRY_IN.search(text)
    if found is None:
        return None
    if found["clock"]:
        hours, minutes, seconds = (int(part) for part in f"{found['clock']}:00".split(":")[:3])
        return hours * 3600 + minutes * 60 + seconds if (found["how"] or "").lower() == "in" else None
    number = float(found["number"]) if found["number"][0].isdigit() else 1
    return round(number * _SECONDS[(found["unit"] or "s")[0].lower()])
