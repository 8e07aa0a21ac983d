"""Processes that are killed, stopped, or there twice, while mail is on its way."""

import os
import signal
import threading
from random import Random

import pytest

from tests.chaos.steps import DRAINS, Run
from tests.support.figures import Figure, size
from tests.support.hostile_server import HOLD, HostileServer, Talk
from tests.support.waiting import eventually

BEFORE_THE_DOT = ("MAIL", "RCPT", "DATA", "body")
# More than the sockets' buffers hold, so that its sender is caught in the middle of the body.
LARGE = ("x" * 98 + "\n") * 80_000


class HeldOnce:
    """A server's script: one connection is held at the point that was armed, until the next `arm`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._point = self._recipient = ""
        self._ahead = 0

    def arm(self, point: str, *, recipient: str = "", ahead: int = 0) -> None:
        """Hold at the point: of the mail to `recipient`, or when as many others as `ahead` have passed it."""
        with self._lock:
            self._point, self._recipient, self._ahead = point, recipient, ahead

    def __call__(self, talk: Talk, point: str) -> str | None:
        with self._lock:
            if point != self._point or self._recipient not in ("", talk.rcpt_to):
                return None
            if self._ahead:
                self._ahead -= 1
                return None
            self._point = ""
            return HOLD


class EachHeldOnce:
    """A server's script: the first `count` connections that get to the point are held there, each of them once."""

    def __init__(self, point: str, count: int) -> None:
        self._point, self._count = point, count
        self._held: set[int] = set()

    def __call__(self, talk: Talk, point: str) -> str | None:
        if point != self._point or talk.number in self._held or len(self._held) == self._count:
            return None
        self._held.add(talk.number)
        return HOLD


@pytest.mark.chaos("kill -9 of every worker at random instants")
def test_killing_every_worker_at_random_instants_loses_nothing(run: Run, smtp: HostileServer, figure: Figure) -> None:
    mails, kills = size(200, 5000), size(3, 20)
    random = Random(20)
    instants = sorted(random.sample(range(1, mails * 9 // 10), kills))
    # At half of them the server is held at a point of the session; at the others nobody knows where the workers are.
    points = [random.choice((*BEFORE_THE_DOT[:3], ".", "reply")) if number % 2 else "" for number in range(kills)]
    reached = threading.Event()
    ahead = list(zip(instants, points, strict=True))

    def script(talk: Talk, point: str) -> str | None:
        if reached.is_set() or not ahead or len(smtp.kept) < ahead[0][0] or point != (ahead[0][1] or "MAIL"):
            return None
        _, held_at = ahead.pop(0)
        reached.set()
        return HOLD if held_at else None

    smtp.script = script
    run.use_lanes(DRAINS)
    run.clock()
    workers = run.workers(2)
    run.accept(mails)
    lanes = 0
    for _ in range(kills):
        assert reached.wait(120), f"{len(smtp.kept)} of {mails} mails came"
        lanes += run.kill(*workers)
        workers = run.workers(2)
        smtp.release()
        reached.clear()
    run.wait_until_settled(300)

    lost, twice = run.lost(), run.duplicates()
    figure(f"kill -9 of 2 workers on {DRAINS} lanes, {kills} times in {mails} mails: {lost} lost, {len(twice)} "
           f"duplicates of at most {lanes}, all flagged, same Message-ID, same bytes; "
           f"{len(run.unconfirmed())} unconfirmed, at their dot at two kills; {dict(run.states())}")  # fmt: skip
    assert lost == 0
    assert 0 < lanes <= DRAINS * kills and len(twice) <= lanes
    assert set(run.states()) <= {"sent", "unconfirmed"}


@pytest.mark.chaos("kill -9 of one worker with all its lanes at one point")
@pytest.mark.parametrize("point", ["RCPT", "DATA", "reply"])
def test_killing_a_worker_costs_one_flagged_copy_for_each_lane_at_its_dot_and_no_other(
    run: Run, smtp: HostileServer, figure: Figure, point: str
) -> None:
    lanes = size(12, DRAINS)
    run.use_lanes(lanes)
    smtp.script = EachHeldOnce(point, lanes)
    run.clock()
    run.accept(12 * lanes, wake=False)
    (worker,) = run.workers(1)
    smtp.wait_until(lambda server: len(server.held) == lanes, f"all lanes are held at {point}")
    assert run.kill(worker) == lanes
    run.workers(1)
    run.wait_until_settled()

    lost, twice, flagged = run.lost(), run.duplicates(), run.events("ambiguous")
    figure(f"killed with {lanes} lanes at {point}: {lost} lost, {len(twice)} duplicates, {len(flagged)} flagged")
    at_the_dot = lanes if point == "reply" else 0
    assert (lost, len(twice), len(flagged)) == (0, at_the_dot, at_the_dot)
    assert run.states() == {"sent": 12 * lanes}


@pytest.mark.chaos("kills before the final dot")
def test_kills_before_the_final_dot_double_nothing(run: Run, smtp: HostileServer, figure: Figure) -> None:
    kills = size(4, 100)
    smtp.script = script = HeldOnce()
    run.use_lanes(1)
    run.clock()
    for number in range(kills):
        point = BEFORE_THE_DOT[number % 4]
        (large,) = run.accept(1, text=LARGE) if point == "body" else ("",)
        run.accept(4)
        script.arm(point, recipient=large, ahead=0 if large else number % 3)
        (worker,) = run.workers(1)
        smtp.wait_until(lambda server: server.held, f"a mail is held at {point}")
        assert run.kill(worker) == 1
        smtp.release()
    run.workers(1)
    run.wait_until_settled()

    lost, twice = run.lost(), run.duplicates()
    figure(f"{kills} kills before the final dot: {lost} lost, {len(twice)} duplicates")
    assert (lost, twice) == (0, [])
    assert not run.events("ambiguous"), "the log cries no wolf"
    assert sum(run.events("released").values()) >= kills


@pytest.mark.chaos("a mail at hand at every kill")
def test_the_mail_at_hand_at_every_kill_is_set_aside_and_all_else_sent(
    run: Run, smtp: HostileServer, figure: Figure
) -> None:
    mails = size(8, 50)
    smtp.script = script = HeldOnce()
    run.use_lanes(1)
    run.clock()
    recipients = run.accept(mails)
    bad = recipients[mails // 2]
    for _ in range(3):
        script.arm("RCPT", recipient=bad)
        (worker,) = run.workers(1)
        smtp.wait_until(lambda server: server.held, "it is at hand")
        assert run.kill(worker) == 1
        smtp.release()
    run.workers(1)
    run.wait_until_settled()

    states, twice = run.states(), run.duplicates()
    figure(f"3 kills with the same mail at hand, {mails} mails: {states['held']} set aside, {states['sent']} sent, "
           f"{len(twice)} twice")  # fmt: skip
    assert states == {"held": 1, "sent": mails - 1} and twice == [] and bad not in smtp.copies()
    assert run.events("held") == {bad: 1}


@pytest.mark.chaos("a worker stopped past its leases in the middle of mails")
def test_a_worker_stopped_past_its_leases_sends_no_dot(run: Run, smtp: HostileServer, figure: Figure) -> None:
    rounds, lanes = size(4, 20), size(6, DRAINS)
    run.use_lanes(lanes)
    run.clock()
    (worker,) = run.workers(1)
    late_dots = stopped = 0
    for number in range(rounds):
        point = BEFORE_THE_DOT[number % 4]
        held = 1 if point == "body" else lanes
        smtp.script = EachHeldOnce(point, held)
        run.accept(1, text=LARGE) if point == "body" else run.accept(12 * lanes, wake=False)
        smtp.wait_until(lambda server: len(server.held) == held, f"mails are held at {point}")  # noqa: B023
        eventually(lambda: run.leases() == held, "no other lane is at work")  # noqa: B023
        talks = [*smtp.held]
        before = sum(talk.dots for talk in talks)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGSTOP)
        try:
            (other,) = run.workers(1)
            stopped += run.end_leases()
            run.wait_until_settled()  # the other one took over
        finally:
            os.kill(worker.pid, signal.SIGCONT)
        smtp.release()
        smtp.wait_until(lambda server: all(talk.closed_at for talk in talks), "the continued one gives up")  # noqa: B023
        late_dots += sum(talk.dots for talk in talks) - before
        worker.stop()
        worker = other

    lost, twice = run.lost(), run.duplicates()
    figure(f"{rounds} workers stopped past their {stopped} leases: {late_dots} late dots, {lost} lost, "
           f"{len(twice)} duplicates")  # fmt: skip
    assert (late_dots, lost, twice) == (0, 0, [])


@pytest.mark.chaos("two clocks")
def test_two_clocks_claim_each_message_once(run: Run, smtp: HostileServer, figure: Figure) -> None:
    rounds, mails = size(5, 20), size(20, 50)
    run.use_lanes(DRAINS)
    run.workers(2)
    for _ in range(2):
        run.clock()
    for _ in range(rounds):  # each short enough for one drain: a longer one gives back what it has not begun
        run.accept(mails, wake=False)  # the clocks shall do it
        run.wait_until_settled()

    most, claims = max(smtp.copies().values()), run.claims()
    figure(f"two clocks, two workers, {len(claims)} mails: each claimed {min(claims)} to {max(claims)} times, at most "
           f"{most} copy of each")  # fmt: skip
    assert run.lost() == 0 and most == 1
    assert max(claims) == 1 and sum(run.events("sent").values()) == len(claims)
