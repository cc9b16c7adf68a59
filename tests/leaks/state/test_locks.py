from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_uno.leaks.owners import Owner
from tests.leaks.examples import LineOf, Test, listed_in, nothing, on_both_loops

LEAKY: list[Any] = []
CLEAN: list[Any] = []
KEPT: list[Any] = []

leaks = listed_in(LEAKY)
clean = listed_in(CLEAN)


@pytest.fixture(autouse=True)
def nothing_is_kept() -> Iterator[None]:
    yield
    KEPT.clear()


def keep(thing: Any) -> Any:
    KEPT.append(thing)
    return thing


@leaks
async def lock_kept() -> None:
    await keep(asyncio.Lock()).acquire()  # LEAK Lock is still held


@leaks
async def lock_dropped() -> None:
    await asyncio.Lock().acquire()  # LEAK Lock is still held


@leaks
async def lock_dropped_in_a_cycle() -> None:
    lock: Any = asyncio.Lock()
    lock.me = lock
    await lock.acquire()  # LEAK Lock is still held
    del lock
    gc.collect()


@leaks
async def by_a_finished_task() -> None:
    async def job(lock: asyncio.Lock) -> None:
        await lock.acquire()  # LEAK Lock is still held

    await asyncio.create_task(job(keep(asyncio.Lock())))


@leaks
async def after_a_wait() -> None:
    lock = keep(asyncio.Lock())

    async def job() -> None:
        await lock.acquire()  # LEAK Lock is still held

    async with lock:
        task = asyncio.create_task(job())
        await asyncio.sleep(0)
    await task


@leaks
async def semaphore() -> None:
    await keep(asyncio.Semaphore(2)).acquire()  # LEAK Semaphore is still held


@leaks
async def semaphore_twice() -> None:
    semaphore = keep(asyncio.Semaphore(3))
    for _ in range(3):
        await semaphore.acquire()  # LEAK Semaphore is still held, 2 times
    semaphore.release()


@leaks
async def bounded_semaphore() -> None:
    await asyncio.BoundedSemaphore(1).acquire()  # LEAK BoundedSemaphore is still held


@leaks
async def condition() -> None:
    await keep(asyncio.Condition()).acquire()  # LEAK Lock is still held


@leaks
async def condition_entered() -> None:
    stack = keep(contextlib.AsyncExitStack())
    await stack.enter_async_context(asyncio.Condition())  # LEAK Lock is still held


@leaks
async def in_a_helper_thread() -> None:
    async def job() -> None:
        await keep(asyncio.Lock()).acquire()  # LEAK Lock is still held

    await asyncio.to_thread(asyncio.run, job())


@clean
async def released() -> None:
    lock, semaphore, bounded = asyncio.Lock(), asyncio.Semaphore(2), asyncio.BoundedSemaphore(1)
    keep((lock, semaphore, bounded))
    async with lock, semaphore, bounded, asyncio.Condition():
        pass
    await lock.acquire()
    lock.release()


@clean
async def released_by_another_task() -> None:
    lock = keep(asyncio.Lock())
    await lock.acquire()
    asyncio.get_running_loop().call_soon(lock.release)
    await asyncio.sleep(0)
    await lock.acquire()
    await asyncio.create_task(release(lock))


async def release(lock: asyncio.Lock) -> None:
    lock.release()


@clean
async def condition_that_waits() -> None:
    condition = keep(asyncio.Condition())

    async def notify() -> None:
        async with condition:
            condition.notify_all()

    async with condition:
        task = asyncio.create_task(notify())
        await condition.wait()
    await task


@clean
async def acquisition_that_was_cancelled() -> None:
    lock = keep(asyncio.Lock())
    async with lock:
        task = asyncio.create_task(lock.acquire())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])


@clean
async def semaphore_that_counts() -> None:
    items = keep(asyncio.Semaphore(0))

    async def produce() -> None:
        for _ in range(3):
            items.release()

    task = asyncio.create_task(produce())
    for _ in range(3):
        await items.acquire()
    await task


@clean
async def barrier_and_queue() -> None:
    barrier: Any = asyncio.Barrier(2)
    await asyncio.gather(barrier.wait(), barrier.wait())
    queue: asyncio.Queue[int] = asyncio.Queue(1)
    await queue.put(1)
    await queue.get()


@on_both_loops
@pytest.mark.parametrize("test", LEAKY)
def test_a_leak_is_reported_once(bench: Any, test: Test, line_of: LineOf) -> None:
    (finding,) = bench.run_test(test)
    subject = inspect.getsource(test).partition("# LEAK ")[2].splitlines()[0]
    assert (finding.rule, finding.subject) == ("UNO502", subject)
    assert finding.created[0].line == line_of(test, "# LEAK")
    assert not any(thing.locked() for thing in KEPT if hasattr(thing, "locked"))
    assert bench.run_test(nothing) == []


@on_both_loops
@pytest.mark.parametrize("test", CLEAN)
def test_a_look_alike_is_silent(bench: Any, test: Test) -> None:
    assert bench.run_test(test) == []
    assert bench.run_test(nothing) == []


@on_both_loops
def test_what_a_pending_task_holds_is_a_part_of_it(bench: Any) -> None:
    async def job(lock: asyncio.Lock) -> None:
        await lock.acquire()
        await asyncio.sleep(3600)

    async def test() -> None:
        keep(asyncio.create_task(job(keep(asyncio.Lock()))))
        await asyncio.sleep(0)

    assert [finding.rule for finding in bench.run_test(test, loop_ends=False)] == ["UNO101"]
    assert bench.run_test(nothing, loop_ends=False) == []


def test_the_wait_of_a_task_is_told_by_the_users_lines(bench: Any, line_of: LineOf) -> None:
    async def test() -> None:
        lock = keep(asyncio.Lock())

        async def job() -> None:
            await lock.acquire()  # HERE

        await lock.acquire()  # HELD
        keep(asyncio.create_task(job()))
        await asyncio.sleep(0)

    findings = {finding.rule: finding for finding in bench.run_test(test)}
    assert set(findings) == {"UNO101", "UNO502"}
    assert findings["UNO101"].waiting_at[0].line == line_of(test, "# HERE")
    assert findings["UNO502"].created[0].line == line_of(test, "# HELD")


def test_the_lock_of_a_fixture_is_the_fixtures(bench: Any) -> None:
    fixture = Owner("fixture", "hub", "module")
    bench.run_as(fixture, lock_kept)
    assert bench.run_test(nothing, loop_ends=False) == []
    fixture.ended = True
    (finding,) = bench.detection.judge_loop(bench.loop, default_owner=Owner("session", ""))
    assert (finding.rule, finding.owner.name) == ("UNO502", "hub")


class Hub:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()

    async def lead(self) -> None:
        await self.lock.acquire()


def test_what_a_wider_fixture_has_taken_for_itself_is_its_own(bench: Any) -> None:
    hub, fixture = Hub(), Owner("fixture", "hub", "module")
    bench.detection.retain(fixture, hub)

    async def test_lead() -> None:
        await hub.lead()

    assert bench.run_test(test_lead, loop_ends=False) == []
    assert hub.lock.locked()
    hub.lock.release()


def test_a_test_that_keeps_the_lock_of_a_wider_fixture_is_blamed(bench: Any) -> None:
    hub, fixture = Hub(), Owner("fixture", "hub", "module")
    bench.detection.retain(fixture, hub)

    async def test_keeps() -> None:
        await hub.lock.acquire()

    (finding,) = bench.run_test(test_keeps, loop_ends=False)
    assert (finding.rule, finding.owner.kind) == ("UNO502", "test")
    assert not hub.lock.locked()


def test_a_reported_semaphore_is_judged_again(bench: Any) -> None:
    semaphore = keep(asyncio.Semaphore(2))

    async def test() -> None:
        await semaphore.acquire()

    for _ in range(2):
        assert [finding.rule for finding in bench.run_test(test, loop_ends=False)] == ["UNO502"]


def test_a_lock_that_cannot_be_hashed_works(bench: Any) -> None:
    class Odd(asyncio.Semaphore):
        def __eq__(self, other: object) -> bool:
            raise AssertionError

        __hash__ = None  # type: ignore[assignment]

    async def test() -> None:
        odd = keep(Odd(0))
        odd.release()
        await odd.acquire()

    assert bench.run_test(test) == []


@pytest.mark.parametrize("kind", [asyncio.Lock, asyncio.Semaphore])
def test_patched_methods_look_as_before(bench: Any, kind: Any) -> None:
    def shape() -> tuple[Any, ...]:
        return tuple(
            (
                method.__qualname__,
                method.__doc__,
                inspect.signature(method),
                inspect.iscoroutinefunction(method),
            )
            for method in (kind.acquire, kind.release)
        )

    patched = shape()
    bench.detection.remove()
    assert patched == shape()


def test_an_error_of_a_release_is_raised(bench: Any) -> None:
    async def test() -> None:
        with pytest.raises(RuntimeError):
            asyncio.Lock().release()
        with pytest.raises(ValueError, match="too many times"):
            asyncio.BoundedSemaphore(1).release()

    assert bench.run_test(test) == []


def test_a_lock_is_told_from_the_one_that_had_its_identity(bench: Any, line_of: LineOf) -> None:
    (detector,) = [each for each in bench.detection._further if type(each).__name__ == "Locks"]

    async def test() -> None:
        lock = asyncio.Lock()
        await asyncio.Lock().acquire()  # DROPPED
        (holds,) = detector._held.values()
        detector._held.clear()
        detector._held[id(lock)] = holds
        async with lock:
            pass

    (finding,) = bench.run_test(test, loop_ends=False)
    assert (finding.rule, finding.created[0].line) == ("UNO502", line_of(test, "# DROPPED"))
    assert bench.run_test(nothing) == []


def test_a_lock_is_judged_while_an_older_one_is_held(bench: Any) -> None:
    bench.run_as(Owner("fixture", "hub", "module"), lock_kept)
    (finding,) = bench.run_test(semaphore, loop_ends=False)
    assert finding.owner.name == "semaphore"
    assert [lock.locked() for lock in KEPT] == [True, False]
