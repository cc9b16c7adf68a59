"""The thread that looks."""

from __future__ import annotations

import _thread
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from pytest_uno.leaks.blocking import lookout as module
from pytest_uno.leaks.blocking.lookout import Lookout, rest_before_fork

_SOON = 0.001
_ENOUGH = 30.0
_NEVER = 3600.0

Make = Callable[..., Lookout]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Lookout] = []

    def make(look: Callable[[float], bool], interval: float = _SOON) -> Lookout:
        made.append(Lookout(interval, look))
        return made[-1]

    yield make
    for each in made:
        each.stop()


class Looks:
    """Counts looks, and lets a test wait for more of them."""

    def __init__(self, *, finds: bool = True) -> None:
        self.finds = finds
        self.threads: list[int] = []
        self._more = threading.Semaphore(0)

    def __call__(self, due: float) -> bool:
        self.threads.append(_thread.get_ident())
        self._more.release()
        return self.finds

    def wait(self, count: int) -> None:
        for _ in range(count):
            assert self._more.acquire(timeout=_ENOUGH)


def test_it_looks_from_one_other_thread_that_nobody_lists(make: Make) -> None:
    before = threading.enumerate()
    looks = Looks()
    lookout = make(looks)
    assert not lookout.is_running
    lookout.start()
    lookout.start()
    looks.wait(3)
    assert threading.enumerate() == before
    assert len(set(looks.threads)) == 1
    assert looks.threads[0] != threading.get_ident()
    lookout.stop()
    assert not lookout.is_running
    seen = len(looks.threads)
    lookout.stop()
    assert len(looks.threads) == seen


def test_it_can_be_started_again(make: Make) -> None:
    looks = Looks()
    lookout = make(looks)
    for _ in range(2):
        lookout.start()
        looks.wait(1)
        lookout.stop()


def test_it_sleeps_while_there_is_nothing_to_see(make: Make) -> None:
    looks = Looks(finds=False)
    lookout = make(looks)
    lookout.start()
    looks.wait(21)
    assert len(set(looks.threads)) == 1
    looks.finds = True
    lookout.wake()
    looks.wait(3)
    lookout.stop()


def test_the_rounds_of_the_thread(make: Make) -> None:
    """In this thread, so that what is run can be measured."""
    answers = iter([True, *[False] * 20, True, *[False] * 21])
    asleep: list[bool] = []

    def look(due: float) -> bool:
        asleep.append(lookout.is_asleep)
        found = next(answers, None)
        if found is None:
            lookout.stop()
        elif len(asleep) == 43:
            lookout.rest()  # a ring of the bell before it falls asleep, and the end
        return bool(found)

    lookout = make(look)
    lookout.watch()
    assert asleep.count(True) == 2
    assert asleep[21]
    assert asleep[42]


def give_way_until(lookout: Lookout, is_enough: Callable[[], bool]) -> None:
    """Give way again and again: the thread may not have gone to sleep yet, or not have woken in time."""
    end = time.monotonic() + _ENOUGH
    while not is_enough():
        assert time.monotonic() < end
        lookout.give_way()


def test_who_gives_way_has_been_looked_at(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EARLY", 1.0)  # a look may be at once
    looks = Looks()
    lookout = make(looks, _NEVER)
    lookout.give_way()  # there is no thread
    lookout.start()
    give_way_until(lookout, lambda: len(looks.threads) >= 3)


def test_nobody_gives_way_before_it_is_about_time(make: Make) -> None:
    looks = Looks()
    lookout = make(looks, _NEVER)
    lookout.start()
    for _ in range(100):
        lookout.give_way()
    lookout.stop()
    assert looks.threads == []


def test_a_look_that_takes_long_is_not_waited_for(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EARLY", 1.0)
    monkeypatch.setattr(module, "_WAY", _SOON)
    begun, may_end = threading.Event(), threading.Event()

    def look(due: float) -> bool:
        begun.set()
        return may_end.wait(_ENOUGH)

    lookout = make(look, _NEVER)
    lookout.start()
    give_way_until(lookout, begun.is_set)
    may_end.set()
    lookout.stop()
    assert not lookout.is_running


def test_the_thread_tells_who_waits_for_it_and_whoever_has_given_up(make: Make) -> None:
    """In this thread, so that what is run can be measured."""
    seen = 0

    def look(due: float) -> bool:
        nonlocal seen
        seen += 1
        lookout.give_way()  # it is not about time for another one
        lookout._is_awaited = seen < 3
        if seen == 4:
            lookout.stop()
        return True

    lookout = make(look)
    lookout.watch()
    assert seen == 4
    assert not lookout._looked.locked()


def test_a_ring_too_many_does_no_harm(make: Make) -> None:
    looks = Looks()
    lookout = make(looks)
    lookout.start()
    for _ in range(3):
        lookout.wake()
    looks.wait(3)


def test_a_thread_that_does_not_end_is_left(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def look(due: float) -> bool:
        begun.set()
        return may_end.wait(_ENOUGH)

    lookout = make(look)
    lookout.start()
    assert begun.wait(_ENOUGH)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_PATIENCE", _SOON)
        lookout.stop()
    assert lookout.is_running
    may_end.set()
    lookout.stop()
    assert not lookout.is_running


def test_the_system_may_forget_a_thread_late(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks()
    lookout = make(looks)
    lookout.start()
    looks.wait(1)
    naps: list[float] = []
    monkeypatch.setattr(module, "_sleep", naps.append)
    monkeypatch.setattr(os.path, "exists", lambda path: True)
    lookout.stop()
    assert len(naps) == module._NAPS


def test_a_system_without_threads(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise RuntimeError("can't start new thread")

    lookout = make(Looks())
    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    lookout.start()
    assert not lookout.is_running


def test_it_rests_until_the_next_test_after_a_fork(make: Make) -> None:
    looks = Looks()
    lookout = make(looks)
    lookout.start()
    looks.wait(1)
    rest_before_fork()
    assert not lookout.is_running
    assert lookout.is_asleep
    lookout.wake()
    assert lookout.is_running
    assert not lookout.is_asleep


FORK = """
import os, warnings
from pytest_uno.leaks.blocking.lookout import Lookout

lookout = Lookout(0.001, lambda due: True)
lookout.start()
assert lookout.is_running
child = os.fork()
if not child:
    os._exit(0)
os.waitpid(child, 0)
lookout.stop()
print("forked")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_python_does_not_warn_of_a_fork() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORK], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("forked\n", "")
