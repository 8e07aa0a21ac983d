"""Every reason that is written has its words, and every word its reason."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from portal.reasons import WORDS, Reason
from portal.transport.smtp.replies import REASONS
from tests.support.processes import ROOT

pytestmark = pytest.mark.any_database


def literals(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def written(path: Path) -> set[str]:
    """What a module hands over as `reason=`, as text."""
    given = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.keyword))
    return {
        part.value
        for keyword in given
        if keyword.arg == "reason"
        for part in ast.walk(keyword.value)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }


ENGINE = [*(ROOT / "portal/services").rglob("*.py"), *(ROOT / "portal/transport").rglob("*.py")]


def test_every_reason_has_words() -> None:
    assert set(WORDS) == set(Reason)
    assert set(REASONS) <= set(Reason)


def test_what_the_engine_writes_is_a_reason() -> None:
    assert {text for path in ENGINE for text in written(path)} <= set(Reason)


def test_no_reason_is_left_over() -> None:
    used = {text for path in ENGINE for text in literals(path)}
    assert set(Reason) - used == set()
