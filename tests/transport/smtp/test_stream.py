"""One dialog's writes: bounded as a whole, and in how long nothing may move."""

import socket
import time
from collections.abc import Iterator

import pytest

from portal.transport.smtp import stream
from portal.transport.smtp.stream import Dialog, NoReply

pytestmark = pytest.mark.any_database


@pytest.fixture
def pair() -> Iterator[tuple[Dialog, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Dialog(ours, "portal.example", patience=60, deadline=time.monotonic() + 60), theirs


def test_a_server_that_takes_nothing_more_is_left_before_its_patience_is_over(
    pair: tuple[Dialog, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "STALLED", 0.2)
    dialog, _ = pair
    began = time.monotonic()
    with pytest.raises(NoReply) as caught:
        dialog.send(b"x" * 50_000_000)
    assert caught.value.kind == "timeout"
    assert time.monotonic() - began < 50


def test_what_is_taken_in_time_is_written_whole(pair: tuple[Dialog, socket.socket]) -> None:
    dialog, theirs = pair
    dialog.send(b"x" * 1000)
    assert theirs.recv(2000) == b"x" * 1000
