"""Templates of our own mails get values by name, and nothing that they could dig in."""

import pytest
from jinja2 import Environment, UndefinedError, nodes

from portal.services.emails import environment
from tests.support.processes import ROOT

pytestmark = pytest.mark.any_database

TEMPLATES = sorted(path for path in (ROOT / "portal/templates/emails").rglob("*") if path.is_file())


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: "/".join(path.parts[-2:]))
def test_a_template_names_no_attribute_of_anything(path: object) -> None:
    """A row would bring its secret along; a value has nothing but itself."""
    parsed = Environment(extensions=["jinja2.ext.i18n"]).parse(path.read_text())  # type: ignore[attr-defined]
    assert [found.attr for found in parsed.find_all(nodes.Getattr)] == []


def test_a_value_that_nobody_handed_over_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        environment.render("verification/subject.txt", "en")
