"""Static files: while somebody edits them they are never an old copy."""

from typing import Any

import pytest

from portal import create_app
from portal.log_format import Formatter


def test_while_files_are_edited_no_copy_is_served(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    accepting = {"Accept-Encoding": "gzip"}
    compressed = create_app(**options).test_client().get("/static/portal.css", headers=accepting)
    assert compressed.headers["Content-Encoding"] == "gzip" and not Formatter.quotes_errors
    monkeypatch.setenv("FLASK_DEBUG", "1")
    fresh = create_app(**options).test_client().get("/static/portal.css", headers=accepting)
    assert "Content-Encoding" not in fresh.headers and Formatter.quotes_errors
    monkeypatch.undo()
    create_app(**options)
    assert not Formatter.quotes_errors
