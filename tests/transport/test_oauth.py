"""What providers say of a sign-in, of a renewal and of a token, and what is made of it."""

import csv
from pathlib import Path

import pytest

from portal.transport.oauth import NOTHING, REFRESH_TOKEN, classify

pytestmark = pytest.mark.any_database

SEEN = list(csv.DictReader((Path(__file__).parents[1] / "data" / "oauth_errors.csv").open(encoding="utf-8")))
PAUSE, BACKOFF = "pause_driver", "backoff_driver"


@pytest.mark.parametrize("row", SEEN, ids=lambda row: f"{row['where']}-{row['error']}-{row['code']}")
def test_every_error_seen_gets_its_verdict(row: dict[str, str]) -> None:
    verdict = classify(row["provider"], row["where"], row["error"], row["code"])
    assert verdict[:2] == (row["action"], row["reason"])


# Errors that are not in the collection: the rules are to hold for them, too.
OTHERS = [
    ("microsoft", "refresh", "invalid_grant", "65001", PAUSE, "oauth_consent"),
    ("microsoft", "refresh", "invalid_grant", "70008", PAUSE, "oauth_expired"),
    ("microsoft", "refresh", "invalid_grant", "53003", PAUSE, "oauth_blocked_by_policy"),
    ("microsoft", "refresh", "invalid_grant", "50057", PAUSE, "account_suspended"),
    ("microsoft", "refresh", "interaction_required", "50079", PAUSE, "oauth_interaction"),
    ("microsoft", "refresh", "unauthorized_client", "700016", BACKOFF, "oauth_app_broken"),
    ("microsoft", "refresh", "invalid_grant", "50196", BACKOFF, "oauth_app_broken"),
    ("microsoft", "refresh", "temporarily_unavailable", "90033", BACKOFF, "service_unavailable"),
    ("microsoft", "refresh", "invalid_grant", "AADSTS50173: The provided grant has expired", PAUSE, "oauth_revoked"),
    ("microsoft", "code", "invalid_grant", "70008", NOTHING, "oauth_code_used"),
    ("microsoft", "code", "invalid_client", "7000215", NOTHING, "oauth_app_broken"),
    ("microsoft", "authorize", "access_denied", "90095", NOTHING, "oauth_admin_consent"),
    ("microsoft", "authorize", "temporarily_unavailable", "", NOTHING, "service_unavailable"),
    ("microsoft", "smtp", "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.", "", PAUSE,
     "basic_auth_retired"),
    ("google", "refresh", "invalid_scope", "", BACKOFF, "oauth_app_broken"),
    ("google", "refresh", "unauthorized_client", "", BACKOFF, "oauth_app_broken"),
    ("google", "refresh", "rate_limit_exceeded", "", BACKOFF, "rate_limited"),
    ("google", "refresh", "(HTML)", "", BACKOFF, "service_unavailable"),
    ("google", "refresh", "(HTTP 503)", "", BACKOFF, "service_unavailable"),
    ("google", "authorize", "access_denied", "", NOTHING, "oauth_declined"),
    ("google", "authorize", "disallowed_useragent", "", NOTHING, "oauth_app_broken"),
    ("google", "code", "invalid_grant", "", NOTHING, "oauth_code_used"),
    ("google", "code", "(no answer)", "", NOTHING, "service_unavailable"),
    ("google", "smtp", "535-5.7.8 Username and Password not accepted.", "", REFRESH_TOKEN, "oauth_rejected"),
    ("google", "smtp", '334 {"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}', "", REFRESH_TOKEN,
     "oauth_rejected"),
    ("any", "smtp", "421 4.7.0 Try again later, closing connection.", "", BACKOFF, "service_unavailable"),
    ("any", "smtp", "504 5.7.4 Unrecognized authentication type", "", PAUSE, "smtp_auth_disabled"),
    ("any", "callback", "(nonce differs)", "", NOTHING, "oauth_state"),
    ("any", "callback", "access_denied", "", NOTHING, "oauth_declined"),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "where", "error", "code", "action", "reason"), OTHERS)
def test_errors_that_are_not_in_the_collection_get_theirs(
    provider: str, where: str, error: str, code: str, action: str, reason: str
) -> None:
    assert classify(provider, where, error, code)[:2] == (action, reason)


@pytest.mark.parametrize("number", ["", "50076", "53003", "70000", "123456789", "nonsense"])
def test_the_error_decides_the_action_whatever_the_number(number: str) -> None:
    assert classify("microsoft", "refresh", "invalid_grant", number).action == PAUSE
    assert classify("microsoft", "refresh", "invalid_client", number).action == BACKOFF
    assert classify("microsoft", "refresh", "server_error", number).action == BACKOFF
    assert classify("microsoft", "code", "invalid_grant", number).action == NOTHING


def test_a_sign_in_that_fails_never_changes_what_is_stored() -> None:
    for where in ("authorize", "callback", "code"):
        for error in ("invalid_grant", "server_error", "never_heard_of", "(HTTP 500)", ""):
            assert classify("google", where, error, "").action == NOTHING


def test_an_error_that_nobody_knows_pauses_nobody() -> None:
    assert classify("google", "refresh", "never_heard_of", "").action == BACKOFF


def test_a_number_of_microsofts_means_nothing_at_google() -> None:
    assert classify("google", "refresh", "invalid_grant", "50076").reason == "oauth_revoked"


def test_what_is_refused_would_meet_the_next_mail_too() -> None:
    assert classify("google", "refresh", "invalid_grant", "").scope == "session"
