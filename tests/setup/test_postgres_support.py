"""Where no PostgreSQL is to be had, the second pass says so instead of failing or passing silently."""

import sys

import pytest

from tests.support import postgres

pytestmark = pytest.mark.any_database


@pytest.fixture(autouse=True)
def _none_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PORTAL_TEST_DATABASE_URL", raising=False)


def test_a_given_database_is_used(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PORTAL_TEST_DATABASE_URL", "postgresql://given")
    command = [sys.executable, "-c", "import os; print(os.environ['PORTAL_TEST_DATABASE_URL'])"]
    assert postgres.main(command) == 0
    assert capfd.readouterr().out.strip() == "postgresql://given"


def test_without_one_the_reason_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(postgres, "_binaries", lambda: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert postgres.main(["never run"]) == postgres.UNAVAILABLE
    assert "no PostgreSQL server installed" in capsys.readouterr().err
