"""PORTAL_PROVIDER_ENDPOINTS: stand-ins for providers' servers, on loopback but in the demo."""

from pathlib import Path

import pytest

from portal.config import SettingsError, load_settings
from portal.provider_endpoints import load
from tests.conftest import SECRETS

pytestmark = pytest.mark.any_database
ELSEWHERE = '[gmail]\ntoken = "https://stand-in.example/token"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "endpoints.toml"


@pytest.mark.parametrize("host", ["127.0.0.1:8009", "localhost", "[::1]:1"])
def test_a_provider_has_urls_on_this_machine(file: Path, host: str) -> None:
    file.write_text(f'[gmail]\ntoken = "http://{host}/token"\n')
    assert load(file) == {"gmail": {"token": f"http://{host}/token"}}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "can't be read"),
        ("gmail", "is no TOML"),
        ("gmail = 1", "tables of URLs"),
        ('[nobody]\ntoken = "http://localhost"', "there is no provider nobody"),
        (ELSEWHERE, "gmail.token must be a URL on this machine"),
        ('[gmail]\ntoken = "http://localhost:x"', "must be a URL"),
        ('[gmail]\ntoken = "file://localhost/x"', "must be a URL"),
    ],
)
def test_a_wrong_file_stops_the_start_with_a_sentence(file: Path, content: str, sentence: str) -> None:
    if content:
        file.write_text(content)
    with pytest.raises(SettingsError, match=f"PORTAL_PROVIDER_ENDPOINTS can't be used: .*{sentence}"):
        load_settings(**SECRETS, provider_endpoints=file)


def test_the_demo_may_have_them_elsewhere(file: Path) -> None:
    file.write_text(ELSEWHERE)
    assert load_settings(**SECRETS, provider_endpoints=file, demo=True).provider_endpoints == file
