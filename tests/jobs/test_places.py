"""The places of a worker: everything gets one in its turn, and what may take long never gets all of them."""

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from jobs.places import Places, Standing, Task
from portal.job_queue import Work
from portal.services.delivery import place as places_module
from portal.services.delivery.place import Place
from tests.support.waiting import eventually


class Floor:
    """Places whose tasks last until the test lets them go."""

    def __init__(self, count: int) -> None:
        self.places = Places(count, self._run)
        self.runs: list[int] = []
        self.at: dict[int, Place] = {}
        self._changed = threading.Condition()
        self._ended: set[int] = set()

    def _run(self, task: Task, place: Place) -> None:
        with self._changed:
            self.runs.append(task.number)
            self.at[task.number] = place
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: task.number in self._ended, 30)
            self._ended.discard(task.number)
            del self.at[task.number]
            self._changed.notify_all()
        if task.number == 13:
            raise ValueError("an unlucky number")

    def offer(self, *numbers: int, standing: Standing = Standing.ORDINARY) -> None:
        for number in numbers:
            self.places.offer(Task(Work.DRAIN, number), standing)

    def end(self, *numbers: int) -> None:
        with self._changed:
            self._ended.update(numbers)
            self._changed.notify_all()

    def are_at_work(self, *numbers: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: set(self.at) == set(numbers), 10), (set(self.at), numbers)
        eventually(lambda: self.places.in_use().places == len(numbers), "their places are given back", 10)


@pytest.fixture
def floor() -> Iterator[Floor]:
    floor = Floor(4)
    yield floor
    floor.places.begin_nothing_more()
    floor.end(*floor.at)
    floor.places.wait_until_idle()


Slow = Callable[..., None]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    """From its first use on, a wait for a server counts as slow at once."""

    def make(floor: Floor, *numbers: int) -> None:
        monkeypatch.setattr(places_module, "SLOW_AFTER", -1.0)
        for number in numbers:
            floor.at[number].uses(partial(floor.end, number))
            floor.at[number].waits()

    return make


def test_a_server_that_nobody_knows_may_have_any_place(floor: Floor) -> None:
    floor.offer(1, 2, 3, 4, 5)
    floor.are_at_work(1, 2, 3, 4)
    assert floor.places.in_use()[:3] == (4, 0, 1)
    floor.end(2)
    floor.are_at_work(1, 3, 4, 5)


def test_slow_servers_keep_half_of_the_places_when_others_wait(floor: Floor, slow: Slow) -> None:
    floor.offer(1, 2, 3, 4)
    floor.are_at_work(1, 2, 3, 4)
    slow(floor, 3, 1, 2, 4)
    floor.places.look_again()
    floor.are_at_work(1, 2, 3, 4)  # nobody waits
    floor.offer(5)
    floor.are_at_work(1, 3, 5)  # those that became slow first may stay
    floor.offer(6)
    floor.are_at_work(1, 3, 5, 6)


def test_many_that_hang_from_the_first_moment_leave_room_for_the_rest_one_after_the_other(
    floor: Floor, slow: Slow
) -> None:
    floor.offer(*range(1, 10))
    floor.are_at_work(1, 2, 3, 4)
    slow(floor, 1, 2, 3, 4)
    floor.places.look_again()
    floor.are_at_work(1, 2, 5, 6)
    slow(floor, 5, 6)
    floor.places.look_again()
    floor.are_at_work(1, 2, 7, 8)


def test_a_server_that_was_slow_has_to_share_half_of_the_places_the_next_time(floor: Floor, slow: Slow) -> None:
    floor.offer(1, 2, 3)
    floor.are_at_work(1, 2, 3)
    slow(floor, 1, 2, 3)
    floor.at[1].moved()
    floor.end(1, 2, 3)
    floor.are_at_work()
    floor.offer(1, 2, 3, 4, 5)
    floor.are_at_work(1, 2, 4, 5)
    floor.end(4, 5)
    floor.are_at_work(1, 2)


def test_a_server_that_takes_mail_without_delay_is_free_of_that(
    floor: Floor, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor.offer(1)
    floor.are_at_work(1)
    slow(floor, 1)
    floor.end(1)
    floor.are_at_work()
    monkeypatch.undo()
    floor.offer(1)
    floor.are_at_work(1)
    assert floor.places.in_use().doubtful == 1
    floor.at[1].accepted()
    floor.end(1)
    floor.are_at_work()
    floor.offer(1)
    floor.are_at_work(1)
    assert floor.places.in_use().doubtful == 0


def test_who_may_have_handed_over_a_mail_keeps_the_place(floor: Floor, slow: Slow) -> None:
    floor.offer(1, 2, 3, 4)
    floor.are_at_work(1, 2, 3, 4)
    slow(floor, 1, 2, 3, 4)
    assert floor.at[3].hands_over() and floor.at[4].hands_over()
    floor.offer(5)
    floor.are_at_work(1, 2, 3, 4)
    assert not floor.at[3].was_cut and not floor.at[4].was_cut


def test_who_has_lost_the_place_hands_over_nothing_more(floor: Floor, slow: Slow) -> None:
    floor.offer(1)
    floor.are_at_work(1)
    slow(floor, 1)
    place = floor.at[1]
    assert place.cut() and not place.cut()
    assert not place.hands_over()
    ended: list[bool] = []
    place.uses(lambda: ended.append(True))
    assert ended, "what is dialled from now on ends at once"


def test_tests_of_mail_services_hold_half_of_the_places(floor: Floor) -> None:
    floor.offer(1, 2, 3, standing=Standing.DOUBTFUL)
    floor.are_at_work(1, 2)
    floor.offer(4, 5)
    floor.are_at_work(1, 2, 4, 5)
    floor.end(4)
    floor.are_at_work(1, 2, 5)
    floor.end(1)
    floor.are_at_work(2, 3, 5)


def test_the_platforms_own_lanes_never_wait(floor: Floor) -> None:
    floor.offer(1, 2, 3, 4, 5)
    floor.are_at_work(1, 2, 3, 4)
    floor.offer(6, 7, 8, standing=Standing.APART)
    floor.are_at_work(1, 2, 3, 4, 6, 7, 8)
    floor.end(1, 2, 3, 4)
    floor.are_at_work(5, 6, 7, 8)
    floor.offer(9, 10)
    floor.are_at_work(5, 6, 7, 8, 9)  # half of the places is for the others, whatever the platform does


def test_a_process_of_one_place_still_works(floor: Floor) -> None:
    single = Floor(1)
    single.offer(1, 2)
    single.are_at_work(1)
    single.end(1)
    single.are_at_work(2)
    single.end(2)
    single.places.wait_until_idle()


def test_what_is_offered_while_it_is_at_work_is_done_once_more(floor: Floor) -> None:
    floor.offer(1)
    floor.are_at_work(1)
    floor.offer(1, 1)
    floor.are_at_work(1)
    floor.end(1)
    floor.places.wait_for_room(0)
    with floor._changed:
        assert floor._changed.wait_for(lambda: floor.runs == [1, 1], 10)
    floor.end(1)
    floor.are_at_work()
    assert floor.runs == [1, 1]


def test_a_task_that_breaks_frees_its_place_and_takes_no_other_along(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda broken: None)
    floor.offer(13, 2, 3, 4, 5)
    floor.are_at_work(13, 2, 3, 4)
    floor.end(13)
    floor.are_at_work(2, 3, 4, 5)


def test_without_another_thread_a_task_is_left_to_its_next_wake(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        floor.offer(1)
    assert floor.places.in_use() == (0, 0, 0, 0)
    floor.offer(1)
    floor.are_at_work(1)


def test_the_first_that_waits_is_the_first_to_begin(floor: Floor) -> None:
    floor.offer(*range(1, 9), standing=Standing.DOUBTFUL)
    for number in range(1, 9):
        with floor._changed:
            assert floor._changed.wait_for(lambda: number in floor.at, 10)  # noqa: B023
        floor.end(number)
    floor.places.wait_until_idle()
    assert floor.runs == list(range(1, 9))


def test_at_the_end_nothing_more_is_begun(floor: Floor) -> None:
    floor.offer(1, 2, 3, 4, 5, 4)
    floor.are_at_work(1, 2, 3, 4)
    assert floor.places.begin_nothing_more() == [Task(Work.DRAIN, 5), Task(Work.DRAIN, 4)]
    floor.end(1)
    floor.offer(6)
    floor.are_at_work(2, 3, 4)
    floor.end(2, 3, 4)
    floor.places.wait_until_idle()
    assert sorted(floor.runs) == [1, 2, 3, 4]
