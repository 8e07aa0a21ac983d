"""The engine's line per outcome."""

from __future__ import annotations

import logging

import pytest

from portal.services.delivery import outcome_log


@pytest.mark.parametrize(("event", "level"), [("sent", logging.INFO), ("ambiguous", logging.WARNING)])
def test_a_line_names_the_message_and_warns_of_what_is_unusual(
    caplog: pytest.LogCaptureFixture, event: str, level: int
) -> None:
    with caplog.at_level(logging.INFO, "portal.delivery"):
        outcome_log.outcome(event, "msg_1", tenant=1, route="relay", lane=2, attempt=1)
    (record,) = caplog.records
    assert (record.msg, record.levelno, record.fields["message"]) == (event, level, "msg_1")
