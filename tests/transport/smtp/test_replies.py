"""What servers say, and what is made of it."""

import csv
from pathlib import Path
from time import process_time

import pytest

from portal.transport.smtp.replies import ACTIONS, classify, retry_after
from portal.transport.smtp.reply_rules import BACKOFF, ENHANCED, FAIL, PAUSE, RETRY, RULES

pytestmark = pytest.mark.any_database

PHASES = ["connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "dot"]
SEEN = list(csv.DictReader((Path(__file__).parents[2] / "data" / "smtp_replies.csv").open(encoding="utf-8")))


@pytest.mark.parametrize("row", SEEN, ids=[row["id"] for row in SEEN])
def test_every_reply_seen_gets_its_verdict(row: dict[str, str]) -> None:
    assert classify(row["phase"], int(row["code"]), row["text"])[:2] == (row["action"], row["reason"])


def test_lines_joined_by_a_real_line_feed_read_the_same() -> None:
    for row in SEEN:
        text = row["text"].replace("\\n", "\n")
        assert classify(row["phase"], int(row["code"]), text)[:2] == (row["action"], row["reason"])


# Wordings of the same conditions that are not in the collection.
OTHERS = [
    ("auth", 535, "5.7.8 Error: authentication failed: authentication failure", PAUSE, "bad_credentials"),
    ("auth", 535, "5.7.3 Authentication unsuccessful [AM0PR01.prod.exchangelabs.com]", PAUSE, "bad_credentials"),
    ("auth", 535, "5.7.1 Application-specific password required. Learn more", PAUSE, "app_password_required"),
    ("auth", 504, "5.7.4 Unrecognized Authentication Type", PAUSE, "smtp_auth_disabled"),
    ("auth", 503, "AUTH command used when not advertised", PAUSE, "smtp_auth_disabled"),
    ("auth", 435, "Unable to authenticate at present", BACKOFF, "service_unavailable"),
    ("auth", 538, "5.7.11 Encryption required for requested authentication mechanism", PAUSE, "tls_required"),
    ("auth", 535, "Authentication failed: account disabled", PAUSE, "account_suspended"),
    ("mail", 530, "5.5.1 Authentication Required", PAUSE, "bad_credentials"),
    ("mail", 501, "Invalid MAIL FROM address provided", PAUSE, "send_as_denied"),
    ("mail", 550, "5.7.60 SMTP; Client does not have permissions to send as this sender", PAUSE, "send_as_denied"),
    ("mail", 553, "Mail from must equal authorized user", PAUSE, "send_as_denied"),
    ("dot", 554, "5.7.1 The 'From' address you supplied is not a Sender Signature on your account", PAUSE,
     "sender_not_verified"),
    ("dot", 554, "Message rejected: Sending paused for this account.", PAUSE, "account_suspended"),
    ("dot", 550, "5.4.5 Daily user sending limit exceeded.", BACKOFF, "quota_daily"),
    ("mail", 550, "5.1.90 You've reached your daily limit for message recipients", BACKOFF, "quota_daily"),
    ("dot", 454, "Throttling failure: Maximum sending rate exceeded.", BACKOFF, "rate_limited"),
    ("rcpt", 550, "Domain shop.example has exceeded the max emails per hour (9/9) allowed.", BACKOFF, "rate_limited"),
    ("connect", 421, "too many sessions from This IP. Lower the number of concurrent sessions.", BACKOFF,
     "too_many_connections"),
    ("connect", 554, "This IP address is listed on the Spamhaus Block List (SBL).", PAUSE, "ip_blocked"),
    ("connect", 421, "Temporarily rejected. Reverse DNS for this IP failed.", BACKOFF, "dns_failure"),
    ("rcpt", 550, "No Such User Here", FAIL, "unknown_recipient"),
    ("rcpt", 550, "5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", FAIL,
     "unknown_recipient"),
    ("rcpt", 550, "5.2.1 The email account that you tried to reach is disabled.", FAIL, "recipient_disabled"),
    ("rcpt", 552, "5.1.1 Boite du destinataire pleine. Recipient overquota.", FAIL, "mailbox_full"),
    ("rcpt", 452, "4.2.2 user over quota", RETRY, "mailbox_full"),
    ("rcpt", 451, "4.7.1 Greylisting in action, please come back later", RETRY, "greylisted"),
    ("rcpt", 554, "5.7.1 <customer@example.net>: Relay access denied", PAUSE, "relay_denied"),
    ("dot", 552, "Message is too long.", FAIL, "message_too_large"),
    ("dot", 554, "5.7.1 Spam message rejected", FAIL, "content_rejected"),
    ("dot", 550, "5.7.509 sending domain does not pass DMARC verification", FAIL, "domain_authentication"),
    ("dot", 451, "4.3.0 Error: queue file write error", RETRY, "local_error"),
    ("starttls", 454, "4.7.0 TLS not available due to local problem", BACKOFF, "service_unavailable"),
]  # fmt: skip


@pytest.mark.parametrize(("phase", "code", "text", "action", "reason"), OTHERS)
def test_other_wordings_get_the_same_verdict(phase: str, code: int, text: str, action: str, reason: str) -> None:
    assert classify(phase, code, text)[:2] == (action, reason)


@pytest.mark.parametrize("phase", PHASES)
def test_an_unknown_4yz_never_costs_the_mail(phase: str) -> None:
    assert classify(phase, 499, "xyzzy").action in (RETRY, BACKOFF)


@pytest.mark.parametrize("phase", PHASES)
def test_an_unknown_5yz_fails_the_message_only_once_a_recipient_was_named(phase: str) -> None:
    expected = FAIL if phase in ("rcpt", "data", "dot") else PAUSE
    assert classify(phase, 599, "xyzzy").action == expected


def test_an_unknown_5yz_says_that_it_is_unknown() -> None:
    assert classify("dot", 599, "xyzzy").reason == "unknown"


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("enhanced", ["5.0.0", "5.2.0", "5.3.0", "5.3.2", "5.4.0", "5.4.7", "5.5.0", "5.5.2", "5.5.4"])
def test_an_enhanced_code_that_says_nothing_makes_a_5yz_no_less_permanent(phase: str, enhanced: str) -> None:
    assert classify(phase, 550, f"{enhanced} xyzzy").action == (FAIL if phase in ("rcpt", "data", "dot") else PAUSE)


@pytest.mark.parametrize("phase", ["connect", "ehlo", "starttls", "auth"])
def test_no_mail_fails_before_any_was_spoken_of(phase: str) -> None:
    said = ["", "too large", "spam", "user unknown", "relay not permitted", *(f"5.{one} xyzzy" for one in ENHANCED)]
    assert FAIL not in {classify(phase, code, text).action for text in said for code in range(400, 600)}


@pytest.mark.parametrize("enhanced", ["7.8", "1.1", "2.2", "3.4", "7.26"])
def test_without_known_words_the_enhanced_code_decides(enhanced: str) -> None:
    assert classify("rcpt", 550, f"5.{enhanced} xyzzy").reason == ENHANCED[enhanced]


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("text", ["lost", "timeout"])
def test_silence_never_fails_a_mail(phase: str, text: str) -> None:
    action = BACKOFF if phase in ("connect", "ehlo", "starttls", "auth") else RETRY
    assert classify(phase, 0, text)[:2] == (action, "service_unavailable")


def test_a_name_that_does_not_resolve_may_resolve_later() -> None:
    assert classify("connect", 0, "dns")[:2] == (BACKOFF, "dns_failure")


@pytest.mark.parametrize("phase", ["connect", "starttls"])
def test_a_server_that_cannot_prove_its_name_stops_the_driver(phase: str) -> None:
    assert classify(phase, 0, "tls")[:2] == (PAUSE, "tls_failed")


def test_a_server_without_sign_in_stops_the_driver() -> None:
    assert classify("auth", 0, "unsupported")[:2] == (PAUSE, "smtp_auth_disabled")


@pytest.mark.parametrize("phase", ["mail", "rcpt"])
def test_an_address_that_the_server_cannot_take_fails_its_mail_only(phase: str) -> None:
    assert classify(phase, 0, "unsupported")[:2] == (FAIL, "address_unsupported")


def test_every_rule_has_a_known_reason_and_a_source() -> None:
    for rule in RULES:
        assert rule.reason in ACTIONS
        assert rule.source
    assert set(ENHANCED.values()) <= set(ACTIONS)


@pytest.mark.parametrize(
    "text", ["a" * 5000, "too many " * 500, "account " * 500, "quota exceed " * 400, "sender " * 700]
)
def test_no_text_can_make_it_slow(text: str) -> None:
    begin = process_time()
    classify("dot", 550, text)
    assert process_time() - begin < 3  # seconds; what backtracks without end takes minutes


WAITS = [
    ("4.7.1 Greylisted, please try again in 300 seconds", 300),
    ("4.2.0 Greylisted for 5 minutes", 300),
    ("please retry after 30s", 30),
    ("Relay quota will reset in 21.99 hours.", 79164),
    ("Retry-After: 60", 60),
    ("Greylisting in action, please come back in 00:04:59", 299),
    ("try again in 01:00:00", 3600),
    ("Daily limit exceeded, try again in 1 day", 86400),
    ("try again in 2 days", 172800),
    ("please wait 600 seconds", 600),
    ("wait 5 minutes", 300),
    ("try again in at least 10 minutes", 600),
    ("try again in one hour", 3600),
    ("retry in approximately 5 minutes", 300),
    ("try again in 5 to 10 minutes", 600),
    ("DEFER: retry in 5 mins\n4.7.1 see our pages", 300),
    ("retry in 2h", 7200),
    ("try again in 90", 90),
]


@pytest.mark.parametrize(("text", "seconds"), WAITS)
def test_the_servers_own_waiting_time_is_heard(text: str, seconds: int) -> None:
    assert retry_after(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "Try again later",
        "550 5.1.1 no such user",
        "try again after 17:30",
        "try again in 12:00 UTC",
        "retry after 2024-01-01",
        "retry in 500 ms",
        "try again after 3 failed attempts",
        "quota resets in 3 weeks",
        "wait for 5m30s",
        "please wait a moment",
        "try again in a few minutes",
    ],
)
def test_a_waiting_time_that_is_not_understood_is_not_guessed_at(text: str) -> None:
    assert retry_after(text) is None


@pytest.mark.parametrize(
    ("phase", "code", "text", "said"),
    [
        # No recipient has been named yet, or the whole account is concerned: the next mail would meet the same.
        ("auth", 535, "5.7.8 Username and Password not accepted", ("pause_driver", None, "session")),
        ("connect", 0, "timeout", ("backoff_driver", None, "session")),
        ("rcpt", 421, "4.7.0 Too many connections, try again in 120 seconds", ("backoff_driver", 120, "session")),
        # It concerns this mail.
        ("rcpt", 550, "5.1.1 no such user", ("fail_message", None, "message")),
        ("rcpt", 450, "4.2.0 Greylisted, try again in 5 minutes", ("retry_message", 300, "message")),
        ("dot", 0, "lost", ("retry_message", None, "message")),
    ],
)
def test_a_verdict_says_its_scope_and_time(phase: str, code: int, text: str, said: tuple[str, int | None, str]) -> None:
    verdict = classify(phase, code, text)
    assert (verdict.action, verdict.retry_after, verdict.scope) == said
