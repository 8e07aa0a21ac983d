"""One dialog: its writes are bounded, as a whole and in how long nothing may move, and another thread can end it."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from portal.transport.smtp import stream
from portal.transport.smtp.stream import Dialog
from portal.transport.wire import Halt, NoReply, tls_context

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


def test_another_thread_can_end_the_wait_for_a_reply(pair: tuple[Dialog, socket.socket]) -> None:
    dialog, _ = pair
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(dialog.getreply)
        dialog.halt.halt()
        with pytest.raises(NoReply) as caught:
            waiting.result(30)
    assert caught.value.kind == "lost"


def test_what_is_dialled_after_the_end_ends_at_once() -> None:
    halt = Halt()
    halt.halt()
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(NoReply):
        Dialog(ours, "portal.example", patience=60, deadline=time.monotonic() + 60, halt=halt).getreply()


def test_a_closed_dialog_is_closed_although_another_thread_could_have_ended_it(
    pair: tuple[Dialog, socket.socket],
) -> None:
    dialog, theirs = pair
    dialog.close()
    theirs.settimeout(30)
    assert theirs.recv(1) == b""
    dialog.halt.halt()


def test_a_silent_tls_handshake_can_be_ended_too(pair: tuple[Dialog, socket.socket]) -> None:
    dialog, theirs = pair
    theirs.settimeout(30)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(dialog.secure, tls_context(None), "smtp.example")
        assert theirs.recv(1), "its first words are there"
        dialog.halt.halt()
        with pytest.raises(NoReply) as caught:
            waiting.result(30)
    assert caught.value.kind == "lost"
