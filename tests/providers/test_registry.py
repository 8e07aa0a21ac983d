"""The registry finds each provider's file, and each is complete."""

import re

import pytest

from portal.providers import OTHER, PROVIDERS, by_host, by_key
from tests.support.processes import ROOT

pytestmark = pytest.mark.any_database

FOLDER = ROOT / "portal/providers"
GUIDES = ROOT / "portal/templates/driver/guides"


def test_each_file_is_a_provider_of_its_name() -> None:
    assert set(PROVIDERS) == {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "base"}
    assert all(provider.key == key for key, provider in PROVIDERS.items())


def test_each_provider_has_its_guide_and_each_guide_its_provider() -> None:
    guides = {f"driver/guides/{path.name}" for path in GUIDES.iterdir()}
    assert {provider.guide for provider in PROVIDERS.values()} == guides


@pytest.mark.parametrize("key", sorted(set(PROVIDERS) - {OTHER.key}))
def test_what_is_known_is_complete_and_has_its_source(key: str) -> None:
    provider = PROVIDERS[key]
    assert by_host(f" {provider.host.upper()}. ") == provider
    assert provider.endpoints and provider.help_url.startswith("https://")
    assert provider.limits.source.startswith("https://") and re.fullmatch(r"20\d\d-[01]\d", provider.limits.checked)


def test_what_is_not_known_is_another_server() -> None:
    assert by_host("mail.acme.example") == by_host("") == by_key("gone") == by_key(None) == OTHER


def test_the_page_begins_with_what_most_shops_have() -> None:
    assert list(PROVIDERS)[:3] == ["gmail", "microsoft365", "other"]


@pytest.mark.parametrize(
    ("username", "limit"),
    [("shop@gmail.com", 500), ("Shop@GoogleMail.com", 500), ("hello@acme.example", 2000), ("shop", 2000)],
)
def test_gmails_limit_is_that_of_the_mailboxs_domain(username: str, limit: int) -> None:
    assert PROVIDERS["gmail"].daily_limit(username) == limit
