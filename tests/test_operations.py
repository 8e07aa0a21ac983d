"""docs/operations.md names what there is: each figure has an alarm, each alarm an explanation, each command exists."""

import re

from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from portal.models import Tenant
from portal.services.operations import health_checks, heartbeat, metrics
from tests.support.processes import ROOT

GUIDE = (ROOT / "docs/operations.md").read_text()
_RULES = re.search(r"```yaml\ngroups:\n(.*?)```", GUIDE, re.DOTALL)
RULES = _RULES[1] if _RULES else ""
_NAME = re.compile(r"\babsender_[a-z0-9_]+\b")


def test_every_figure_has_an_alarm_and_every_alarm_a_figure(tenant: Tenant) -> None:
    heartbeat.tick()
    families = list(text_string_to_metric_families(metrics.text().decode()))
    samples = {family.name: {sample.name for sample in family.samples} for family in families}
    used = set(_NAME.findall(RULES))
    assert used <= {name for names in samples.values() for name in names}
    assert [name for name, names in samples.items() if not names & used] == []


def test_what_the_alarms_ask_for_are_labels_and_values_that_there_are(tenant: Tenant) -> None:
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            for label, value in sample.labels.items():
                found.setdefault(label, set()).add(value)
    asked = re.findall(r'(\w+)!?="(\w+)"', RULES.replace('up{job="absender"}', ""))
    assert asked
    assert [pair for pair in asked if pair[1] not in found[pair[0]]] == []
    for labels in re.findall(r"by \(([\w, ]+)\)", RULES):
        assert set(labels.split(", ")) <= found.keys()


def test_every_alarm_is_explained() -> None:
    alarms = re.findall(r"alert: (\w+)", RULES)
    assert alarms and len(set(alarms)) == len(alarms)
    assert re.findall(r"^\| ([A-Z]\w+) \|", GUIDE, re.MULTILINE) == alarms


def test_the_status_command_and_the_alarm_agree_on_what_is_late() -> None:
    assert f"(absender_oldest_due_seconds) > {health_checks.OLDEST_DUE}'" in RULES


def test_the_commands_named_are_the_programs(app: Flask, client: FlaskClient) -> None:
    commands = set(re.findall(r"\bflask ([a-z-]+ [a-z-]+)", GUIDE))
    assert {"delivery status", "delivery restored", "secrets rotate", "db upgrade"} <= commands
    runner = app.test_cli_runner()
    for command in commands:
        assert runner.invoke(args=[*command.split(), "--help"]).exit_code == 0, command
    for path in ("/healthz", "/readyz"):
        assert path in GUIDE and client.get(path).status_code == 200
