"""What a provider's API means by its answer: for this message, for its driver, and in plain words."""

from __future__ import annotations

from portal.transport.base import Action, Verdict
from portal.transport.http.verdict_rules import NOTHING, RULES, STATUSES

ACCEPTED = "accepted"
AMBIGUOUS = "ambiguous"  # perhaps it has the mail: the answer of a server in between, or none
NOT_SENT, SENT = "not_sent", "sent"  # codes of status 0: before and after the request was written

_MOST_READ = 1000  # characters of a code or a text


def classify(provider: str, status: int, code: str, text: str) -> Verdict:
    """The verdict on an answer; `status` 0: there was none, and `code` is NOT_SENT or SENT.

    `code` is the provider's own, "" if none; `text` its words. Actions are those of portal.transport.base, and "-"
    where nothing failed. Reason AMBIGUOUS: nobody knows whether the provider has the mail.
    """
    action, reason = _judged(provider, status, code[:_MOST_READ].strip().lower(), text[:_MOST_READ].lower())
    stops = action in (Action.PAUSE_DRIVER, Action.BACKOFF_DRIVER)
    return Verdict(action, reason, None, "session" if stops else "message")


def _judged(provider: str, status: int, code: str, text: str) -> tuple[str, str]:
    if status == 0:
        sent = code != NOT_SENT  # where in doubt, it was
        return (Action.RETRY_MESSAGE, AMBIGUOUS) if sent else (Action.BACKOFF_DRIVER, "service_unavailable")
    for rule in (*RULES.get(provider, ()), *RULES[""]):
        if rule.statuses.fullmatch(str(status)) and rule.code.search(code) and rule.text.search(text):
            return rule.action, rule.reason
    if status in STATUSES:
        return STATUSES[status]
    if status < 200 or 300 <= status < 400:  # nobody who speaks for the API; redirects are not followed
        return Action.BACKOFF_DRIVER, "service_unavailable"
    if status < 300:
        return NOTHING, ACCEPTED
    if status < 500:
        return Action.FAIL_MESSAGE, "unknown"
    return Action.RETRY_MESSAGE, "service_unavailable"
