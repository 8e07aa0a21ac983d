"""What providers' APIs answer, and what is made of it."""

import csv
from pathlib import Path

import pytest

from portal.transport.http.verdicts import ACCEPTED, AMBIGUOUS, classify

pytestmark = pytest.mark.any_database

DATA = Path(__file__).parents[2] / "data" / "api_errors.csv"
# Rows with prose describe an answer; they can't be asked literally.
SEEN = [row for row in csv.DictReader(DATA.open(encoding="utf-8")) if not row["prose"]]
RETRY, FAIL, PAUSE, BACKOFF = "retry_message", "fail_message", "pause_driver", "backoff_driver"


@pytest.mark.parametrize("row", SEEN, ids=lambda row: f"{row['provider']}-{row['status']}-{row['code']}-{row['text']}")
def test_every_answer_seen_gets_its_verdict(row: dict[str, str]) -> None:
    verdict = classify(row["provider"], int(row["status"]), row["code"], row["text"])
    assert verdict[:2] == (row["action"], row["reason"])


# Answers that are not in the collection: the rules are to hold for them, too.
OTHERS = [
    ("gmail_api", 401, "UNAUTHENTICATED", "Request had invalid authentication credentials.", PAUSE, "oauth_rejected"),
    ("gmail_api", 403, "insufficientPermissions", "Insufficient Permission", PAUSE, "oauth_consent"),
    ("gmail_api", 403, "accessNotConfigured", "Gmail API has not been used in project 1 before or it is disabled.",
     BACKOFF, "oauth_app_broken"),
    ("gmail_api", 403, "userRateLimitExceeded", "User Rate Limit Exceeded", BACKOFF, "rate_limited"),
    ("gmail_api", 403, "dailyLimitExceeded", "Daily Limit Exceeded", BACKOFF, "quota_daily"),
    ("gmail_api", 429, "rateLimitExceeded", "Too many concurrent requests for user", BACKOFF, "rate_limited"),
    ("gmail_api", 429, "rateLimitExceeded", "User-rate limit exceeded. (Mail sending)", BACKOFF, "quota_daily"),
    ("gmail_api", 400, "failedPrecondition", "Precondition check failed.", PAUSE, "oauth_no_mailbox"),
    ("gmail_api", 413, "uploadTooLarge", "", FAIL, "message_too_large"),
    ("gmail_api", 503, "backendError", "Backend Error", BACKOFF, "service_unavailable"),
    ("gmail_api", 200, "", "", "-", ACCEPTED),
    ("graph", 401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid.", PAUSE,
     "oauth_rejected"),
    ("graph", 403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.", PAUSE, "oauth_consent"),
    ("graph", 403, "ErrorSendAsDenied", "The user account which was used to submit this request does not have the "
     "right to send mail on behalf of the specified sending account.", PAUSE, "send_as_denied"),
    ("graph", 404, "MailboxNotEnabledForRESTAPI", "The mailbox is either inactive, soft-deleted, or is hosted "
     "on-premise.", PAUSE, "oauth_no_mailbox"),
    ("graph", 413, "RequestEntityTooLarge", "", FAIL, "message_too_large"),
    ("graph", 400, "ErrorMessageSizeExceeded", "The message exceeds the maximum supported size.", FAIL,
     "message_too_large"),
    ("graph", 507, "ErrorQuotaExceeded", "", PAUSE, "sender_mailbox_full"),
    ("graph", 503, "ErrorServerBusy", "The server is too busy to process the request.", BACKOFF, "service_unavailable"),
    ("graph", 504, "UnknownError", "", RETRY, AMBIGUOUS),
    ("graph", 202, "", "", "-", ACCEPTED),
    ("postmark", 422, "406", "You tried to send to a recipient that has been marked as inactive.", FAIL,
     "recipient_suppressed"),
    ("nobody", 401, "", "", PAUSE, "bad_key"),
    ("nobody", 409, "idempotency_key_in_use", "", RETRY, AMBIGUOUS),
    ("nobody", 503, "", "", BACKOFF, "service_unavailable"),
    ("nobody", 599, "", "", RETRY, "service_unavailable"),
    ("nobody", 418, "", "", FAIL, "unknown"),
    ("nobody", 302, "", "", BACKOFF, "service_unavailable"),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "status", "code", "text", "action", "reason"), OTHERS)
def test_answers_that_are_not_in_the_collection_get_theirs(
    provider: str, status: int, code: str, text: str, action: str, reason: str
) -> None:
    assert classify(provider, status, code, text)[:2] == (action, reason)


def test_no_answer_leaves_open_what_was_written_and_only_that() -> None:
    assert classify("graph", 0, "not_sent", "")[:2] == (BACKOFF, "service_unavailable")
    assert classify("graph", 0, "sent", "")[:2] == (RETRY, AMBIGUOUS)


def test_a_server_in_between_leaves_open_whether_the_mail_was_taken() -> None:
    for provider in ("gmail_api", "graph", "postmark", "nobody"):
        for status in (502, 504):
            assert classify(provider, status, "", "<html>").reason == AMBIGUOUS


def test_what_stops_or_slows_the_account_would_meet_the_next_mail_too() -> None:
    assert classify("graph", 401, "", "").scope == "session"
    assert classify("graph", 429, "", "").scope == "session"
    assert classify("graph", 400, "ErrorInvalidRecipients", "").scope == "message"
