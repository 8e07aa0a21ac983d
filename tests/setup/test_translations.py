"""bin/translations: says what lacks a translation, writes it into the catalogues, and only looks with --check."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_database

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = "portal/translations/de/LC_MESSAGES/messages.po"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what is translated, with this checkout's environment."""
    for folder in ("bin", "portal"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("static", "__pycache__"))
    (tmp_path / "bin/setup").write_text("#!/bin/sh\n")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def translations(checkout: Path, *options: str) -> tuple[int, str]:
    done = subprocess.run([checkout / "bin/translations", *options], capture_output=True, text=True)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_what_lacks_a_translation_is_listed_and_goes_into_the_catalogue(checkout: Path) -> None:
    before = (checkout / CATALOGUE).read_text()
    assert translations(checkout, "--check") == (0, "")
    with (checkout / "portal/views/health.py").open("a") as module:
        module.write('_TEXTS = gettext("A new text"), ngettext("%(num)d thing", "%(num)d things", 2)\n')

    code, said = translations(checkout, "--check")
    assert code == 1
    assert f'{CATALOGUE} lacks:\nmsgid "A new text"' in said and 'msgid "%(num)d thing"' in said
    assert said.count("lacks:") == 2
    assert (checkout / CATALOGUE).read_text() == before

    assert translations(checkout)[0] == 1
    written = (checkout / CATALOGUE).read_text()
    assert 'msgid "A new text"\nmsgstr ""' in written
    (checkout / CATALOGUE).write_text(
        written.replace('"A new text"\nmsgstr ""', '"A new text"\nmsgstr "Ein neuer Text"')
        .replace('msgstr[0] ""', 'msgstr[0] "%(num)d Ding"')
        .replace('msgstr[1] ""', 'msgstr[1] "%(num)d Dinge"')
    )
    assert translations(checkout, "--check") == (0, "")


def test_a_text_that_is_no_longer_used_or_a_guess_fails_the_check(checkout: Path) -> None:
    catalogue = checkout / CATALOGUE
    before = catalogue.read_text()
    catalogue.write_text(before + '\nmsgid "Nobody asks for this"\nmsgstr "Danach fragt niemand"\n')
    assert translations(checkout, "--check") == (1, f"{CATALOGUE} is out of date: run bin/translations\n")
    catalogue.write_text(before.replace("#, python-format\n", "#, fuzzy, python-format\n", 1))
    code, said = translations(checkout, "--check")
    assert code == 1 and said.startswith(f"{CATALOGUE} lacks:\n#, fuzzy")
