"""The places of a worker: everything gets one in its turn, and what may take long never gets all of them."""

import threading
from collections.abc import Iterator

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

    def offer(self, *numbers: int, standing: Standing = Standing.UNPROVED) -> None:
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


def test_servers_that_nobody_knows_hold_half_of_the_places(floor: Floor) -> None:
    floor.offer(1, 2, 3)
    floor.are_at_work(1, 2)
    assert floor.places.in_use()[:3] == (2, 2, 1)
    floor.offer(4, 5, standing=Standing.SURE)
    floor.are_at_work(1, 2, 4, 5)
    floor.end(1)
    floor.are_at_work(2, 3, 4, 5)


def test_a_server_that_took_a_mail_makes_room_for_an_unknown_one(floor: Floor) -> None:
    floor.offer(1, 2, 3)
    floor.are_at_work(1, 2)
    floor.at[2].accepted()
    floor.are_at_work(1, 2, 3)
    floor.end(2)
    floor.are_at_work(1, 3)
    floor.offer(2, 4)
    floor.are_at_work(1, 2, 3)  # 2 is known now, and 4 isn't


def test_a_slow_server_counts_as_unknown_while_it_is_slow_and_the_next_time(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor.offer(1, 2)
    floor.are_at_work(1, 2)
    floor.at[1].accepted()
    floor.at[2].accepted()
    assert floor.places.in_use().doubtful == 0
    monkeypatch.setattr(places_module, "SLOW_AFTER", -1.0)
    floor.at[1].waits()
    floor.at[2].waits()
    assert floor.places.in_use().doubtful == 2
    floor.offer(3)
    floor.are_at_work(1, 2)
    floor.at[1].moved()
    floor.places.look_again()
    floor.are_at_work(1, 2, 3)
    floor.end(1, 2, 3)
    floor.are_at_work()
    floor.offer(1, 2, 3)
    floor.are_at_work(1, 2)


def test_the_platforms_own_lanes_never_wait(floor: Floor) -> None:
    floor.offer(1, 2, standing=Standing.DOUBTFUL)
    floor.offer(3, 4, 5, standing=Standing.SURE)
    floor.are_at_work(1, 2, 3, 4)
    floor.offer(6, 7, 8, standing=Standing.APART)
    floor.are_at_work(1, 2, 3, 4, 6, 7, 8)
    floor.end(1, 2, 3, 4)
    floor.are_at_work(5, 6, 7, 8)
    floor.offer(9, 10, standing=Standing.SURE)
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


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_task_that_breaks_frees_its_place_and_takes_no_other_along(floor: Floor) -> None:
    floor.offer(13, 2)
    floor.are_at_work(13, 2)
    floor.end(13)
    floor.are_at_work(2)
    floor.offer(3)
    floor.are_at_work(2, 3)


def test_the_first_that_waits_is_the_first_to_begin(floor: Floor) -> None:
    floor.offer(*range(1, 9))
    for number in range(1, 9):
        with floor._changed:
            assert floor._changed.wait_for(lambda: number in floor.at, 10)  # noqa: B023
        floor.end(number)
    floor.places.wait_until_idle()
    assert floor.runs == list(range(1, 9))


def test_at_the_end_nothing_more_is_begun(floor: Floor) -> None:
    floor.offer(1, 2, 3)
    floor.are_at_work(1, 2)
    floor.places.begin_nothing_more()
    floor.end(1)
    floor.offer(4)
    floor.are_at_work(2)
    floor.end(2)
    floor.places.wait_until_idle()
    assert sorted(floor.runs) == [1, 2]
