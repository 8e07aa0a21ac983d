"""The engine's line per outcome."""

import logging

import pytest

from portal.log_format import Formatter
from portal.models.message import State
from portal.models.route import RELAY
from portal.services import outcome_log
from portal.services.message_state import Change


def test_an_outcome_is_one_line_with_ids_only(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "portal.delivery"):
        outcome_log.write([Change(7, 3, "msg_a", State.SENT, "sent", None, RELAY, 2, lane=1, code=250)])
        outcome_log.write([Change(8, 3, "msg_b", State.QUEUED, "ambiguous", None, RELAY, 2, lane=1, code=0)])
    assert [r.levelname for r in caplog.records] == ["INFO", "WARNING"]
    assert Formatter().format(caplog.records[0]).partition(" ")[2] == (
        "level=info logger=portal.delivery event=sent message=msg_a tenant=3 route=relay lane=1 attempt=2 code=250"
    )


def test_what_waits_because_a_person_wants_it_to_has_no_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "portal.delivery"):
        outcome_log.write([Change(7, 3, "msg_a", State.HELD, "held", "driver_paused", RELAY, 2)])
    assert caplog.records == []
