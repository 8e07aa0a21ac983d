"""The wheel holds all that the product needs at run time, and nothing of the trial or the tests."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_database

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("absender-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_it_holds_the_browser_assets_that_set_up_fetched(names: set[str]) -> None:
    vendor = "portal/static/vendor/"
    assert {vendor + name for name in ("htmx.min.js", "hx-ptag.min.js", "pico.min.css")} <= names
    assert {vendor + name for name in ("htmx.LICENSE.txt", "pico.LICENSE.txt")} <= names


def test_it_holds_templates_migrations_and_compiled_translations(names: set[str]) -> None:
    wanted = [path for folder in ("templates", "migrations") for path in (ROOT / "portal" / folder).rglob("*.*")]
    catalogues = (ROOT / "portal/translations").glob("*/LC_MESSAGES/*.po")
    wanted += [path.with_suffix(".mo") for path in catalogues]
    assert {str(path.relative_to(ROOT)) for path in wanted if path.suffix != ".pyc"} <= names
    assert any(name.startswith("portal/templates/") for name in names)


def test_it_holds_all_of_the_python_code(names: set[str]) -> None:
    code = {str(path.relative_to(ROOT)) for folder in ("portal", "jobs") for path in (ROOT / folder).rglob("*.py")}
    assert code | {"wsgi.py"} <= names


def test_it_holds_nothing_else(names: set[str]) -> None:
    assert {name.split("/")[0] for name in names} == {"portal", "jobs", "wsgi.py", "absender-0.1.0.dist-info"}
    assert not [name for name in names if "axe" in name or name.endswith((".pyc", ".env", ".db"))]
