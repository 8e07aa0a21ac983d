"""Every reason that is written has its words, and every word its reason."""

import ast

import pytest

from portal.reasons import EARLIER, Reason
from portal.reasons.words import WORDS
from portal.transport.http.verdict_rules import NOTHING, RULES, STATUSES
from portal.transport.http.verdicts import AMBIGUOUS
from portal.transport.smtp.replies import ACTIONS
from tests.support.processes import ROOT

pytestmark = pytest.mark.any_database


def texts(tree: ast.AST) -> set[str]:
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def members(tree: ast.AST) -> set[str]:
    """The reasons that are named as `Reason.X`."""
    named = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name))
    return {Reason[node.attr] for node in named if node.value.id == "Reason"}  # type: ignore[attr-defined]


def parsed(folder: str) -> list[ast.AST]:
    return [ast.parse(path.read_text()) for path in (ROOT / folder).rglob("*.py")]


def given_by_apis() -> set[str]:
    """What portal.transport.http makes of answers, but for what never reaches a message: accepted and ambiguous."""
    rules = [(rule.action, rule.reason) for rules in RULES.values() for rule in rules]
    return {reason for action, reason in [*rules, *STATUSES.values()] if action != NOTHING and reason != AMBIGUOUS}


def given_by_sign_ins() -> set[str]:
    tree = ast.parse((ROOT / "portal/transport/oauth.py").read_text())
    return texts(tree) & set(Reason)


def test_every_reason_has_words() -> None:
    assert set(WORDS) == set(Reason)
    assert set(ACTIONS) | given_by_apis() <= set(Reason)
    assert set(EARLIER.values()) <= set(Reason)


def test_services_name_reasons_by_the_enum() -> None:
    """So that none is misspelt: a plain text in a place where a reason is handed over is none."""
    given = [node for tree in parsed("portal/services") for node in ast.walk(tree) if isinstance(node, ast.keyword)]
    assert [texts(keyword.value) for keyword in given if keyword.arg == "reason" and texts(keyword.value)] == []


def test_no_reason_is_left_over() -> None:
    used = {reason for tree in parsed("portal/services") for reason in members(tree)}
    assert set(Reason) - used == (set(ACTIONS) | given_by_apis() | given_by_sign_ins()) - used
