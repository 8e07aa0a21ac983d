"""bin/setup: does nothing when nothing changed, and says in one sentence what it misses."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_database

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("sh", "cat", "cut", "dirname", "id", "sha256sum", "mkdir", "rm", "mktemp")


def test_nothing_is_done_when_nothing_changed() -> None:
    if not (ROOT / ".venv/.setup-packages").exists():
        pytest.skip("this checkout was not set up by bin/setup")
    subprocess.run([ROOT / "bin/setup"], check=True, capture_output=True)
    before = {path: path.stat().st_mtime_ns for path in (ROOT / "portal/static/vendor").iterdir()}
    again = subprocess.run([ROOT / "bin/setup"], check=True, capture_output=True, text=True)
    assert (again.stdout, again.stderr) == ("", "")
    assert before == {path: path.stat().st_mtime_ns for path in (ROOT / "portal/static/vendor").iterdir()}


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A checkout on a machine that has the basic tools and nothing else; returns the checkout."""
    checkout, tools = tmp_path / "checkout", tmp_path / "tools"
    (checkout / "bin").mkdir(parents=True)
    tools.mkdir()
    shutil.copy(ROOT / "bin/setup", checkout / "bin/setup")
    shutil.copy(ROOT / "requirements.lock", checkout)
    for name in TOOLS:
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    return checkout


def set_up(checkout: Path) -> tuple[int, list[str]]:
    done = subprocess.run(
        [shutil.which("sh") or "sh", checkout / "bin/setup"],
        env={"PATH": str(checkout.parent / "tools"), "HOME": str(checkout)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines()


def add_python(checkout: Path, script: str) -> None:
    python = checkout.parent / "tools/python3"
    python.write_text(f"#!{shutil.which('sh')}\n{script}\n")
    python.chmod(0o755)


def test_a_missing_python3_venv_is_one_sentence_with_the_line_to_type(bare: Path) -> None:
    add_python(bare, 'case "$*" in *ensurepip*) exit 1 ;; esac')
    code, lines = set_up(bare)
    assert code == 1
    assert len(lines) == 1
    assert "sudo apt-get install python3-venv" in lines[0]
    assert os.listdir(bare) == ["bin", "requirements.lock"] or not (bare / ".venv").exists()


def test_a_python_that_is_too_old_is_one_sentence_too(bare: Path) -> None:
    if Path("/usr/bin/python3").exists():
        script = (bare / "bin/setup").read_text().replace("/usr/bin/python3", "/nonexistent/python3")
        (bare / "bin/setup").write_text(script)
    add_python(bare, "exit 1")
    code, lines = set_up(bare)
    assert code == 1
    assert len(lines) == 1
    assert "Python 3.11 or newer is missing" in lines[0]
