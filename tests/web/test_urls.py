"""Where a page may lead back to."""

import pytest

from portal.web.urls import local_path

pytestmark = pytest.mark.any_database


@pytest.mark.parametrize("path", ["/logs", "/logs?recipient=a%20b", "/support/a\xa0b", "/support/👩\u200d👧"])
def test_a_path_of_this_site_is_one(path: str) -> None:
    assert local_path(path, "/") == path


@pytest.mark.parametrize(
    "path", ["", None, "logs", "//evil.example", "/\\evil.example", "/\t/evil.example", "/a\r\nb", "/\ud800"]
)
def test_anything_else_leads_to_the_usual_page(path: str | None) -> None:
    assert local_path(path, "/settings") == "/settings"
