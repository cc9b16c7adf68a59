"""The virtual loop as a loop: made without arguments, used as asyncio's own is."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import selectors
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import pytest_uno.clock
from pytest_uno.clock import Budgets, VirtualClock, VirtualEventLoop
from tests.clock.running import run_virtual
from tests.clock.virtual_test import in_virtual_time, the_clock


async def nap(seconds: float = 1) -> float:
    await asyncio.sleep(seconds)
    return asyncio.get_running_loop().time()


# ------------------------------------------------------------------ made and closed


def test_no_argument_is_needed() -> None:
    with asyncio.Runner(loop_factory=VirtualEventLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualEventLoop)
        assert isinstance(loop, asyncio.SelectorEventLoop)
        assert isinstance(loop.clock, VirtualClock)
        assert loop.time() == 0
        assert runner.run(nap(3600)) == 3600
        assert runner.run(nap(3600)) == 7200, "time goes on from run to run"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio.run(loop_factory=) is new in 3.12")
def test_asyncio_run() -> None:
    run: Callable[..., float] = asyncio.run
    for _ in range(2):
        assert run(nap(60), loop_factory=VirtualEventLoop) == 60, "each loop has a time of its own"


def test_the_arguments() -> None:
    selector = selectors.SelectSelector()
    budgets = Budgets(limit=10)
    with contextlib.closing(VirtualEventLoop(selector, start=100, budgets=budgets)) as loop:
        assert loop.clock.budgets is budgets
        assert loop.clock.start == 100
        assert loop.run_until_complete(nap()) == 101


def test_the_public_names() -> None:
    assert set(pytest_uno.clock.__all__) <= set(dir(pytest_uno.clock))
    for name in pytest_uno.clock.__all__:
        assert getattr(pytest_uno.clock, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Clock'"):
        pytest_uno.clock.Clock  # noqa: B018


def test_a_closed_loop() -> None:
    loop = VirtualEventLoop()
    loop.run_until_complete(nap())
    loop.close()
    loop.close()
    assert loop.is_closed()
    assert loop.time() == 1
    for use in (lambda: loop.call_later(1, print), lambda: loop.call_at(5, print), loop.run_forever):
        with pytest.raises(RuntimeError, match="closed"):
            use()
    coroutine = nap()
    with pytest.raises(RuntimeError, match="closed"):
        loop.run_until_complete(coroutine)
    coroutine.close()


def test_a_closed_loop_is_freed_at_once() -> None:
    async def main() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await the_clock().advance(10)
        await the_clock().settle()
        await asyncio.to_thread(print)

    gc.disable()
    try:
        loop = VirtualEventLoop()
        loop.run_until_complete(main())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        reference = weakref.ref(loop)
        del loop
        assert reference() is None
    finally:
        gc.enable()


def test_a_loop_within_a_running_loop_is_refused() -> None:
    async def main() -> None:
        coroutine = nap()
        other = VirtualEventLoop()
        with contextlib.closing(other), pytest.raises(RuntimeError, match="another loop is running"):
            other.run_until_complete(coroutine)
        coroutine.close()

    run_virtual(main)


def test_run_until_complete_takes_what_asyncio_takes() -> None:
    with contextlib.closing(VirtualEventLoop()) as loop:
        assert loop.run_until_complete(loop.create_task(nap(1))) == 1
        future = loop.create_future()
        loop.call_later(1, future.set_result, "set")
        assert loop.run_until_complete(future) == "set"
        with pytest.raises(TypeError):
            loop.run_until_complete(5)  # type: ignore[arg-type]

        async def fail() -> None:
            await nap()
            raise LookupError("failed")

        with pytest.raises(LookupError, match="failed") as caught:
            loop.run_until_complete(fail())
        assert caught.value.__cause__ is None
        task = loop.create_task(nap())
        loop.call_soon(task.cancel)
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)


def test_stop_leaves_the_rest_for_the_next_run() -> None:
    with contextlib.closing(VirtualEventLoop()) as loop:
        task = loop.create_task(nap(10))
        loop.call_later(3, loop.stop)
        loop.run_forever()
        assert loop.time() == 3
        assert not task.done()
        loop.call_later(4, loop.stop)
        with pytest.raises(RuntimeError, match="stopped before"):
            loop.run_until_complete(task)
        assert loop.time() == 7
        assert loop.run_until_complete(task) == 10


def test_an_interrupt_comes_through() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_later(1, interrupt)
        await nap(10)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_virtual(main)


# ------------------------------------------------------------------ the ways to use a loop


def test_debug_mode() -> None:
    async def main() -> tuple[float, bool]:
        async with asyncio.timeout(60):
            await asyncio.gather(nap(5), nap(0.1))
        return await nap(0.2), asyncio.get_running_loop().get_debug()

    with asyncio.Runner(loop_factory=VirtualEventLoop, debug=True) as runner:
        assert runner.run(main()) == (5.2, True)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in 3.12")
def test_eager_tasks() -> None:
    log: list[tuple[str, float]] = []

    async def work(name: str, delay: float) -> None:
        log.append((name, the_clock().time()))
        await asyncio.sleep(delay)
        log.append((name, the_clock().time()))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        async with asyncio.TaskGroup() as group:
            group.create_task(work("slow", 2))
            group.create_task(work("quick", 1))
            log.append(("main", the_clock().time()))
        await the_clock().settle()

    _, clock = run_virtual(main)
    assert log == [("slow", 0), ("quick", 0), ("main", 0), ("quick", 1), ("slow", 2)]
    assert clock.time() == 2


def test_a_task_factory() -> None:
    class OwnTask(asyncio.Task[Any]):
        pass

    def make(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> OwnTask:
        return OwnTask(coro, loop=loop, **options)

    with contextlib.closing(VirtualEventLoop()) as loop:
        loop.set_task_factory(make)
        assert loop.get_task_factory() is make
        task = loop.create_task(nap(5), name="own")
        assert isinstance(task, OwnTask)
        assert loop.run_until_complete(task) == 5


def test_an_async_generator_is_closed_with_its_loop() -> None:
    log: list[str] = []

    async def ticks() -> AsyncIterator[float]:
        try:
            while True:
                yield await nap()
        finally:
            await nap()
            log.append("closed")

    async def main() -> list[float]:
        kept.append(ticks())
        return [await anext(kept[0]) for _ in range(3)]

    kept: list[AsyncIterator[float]] = []
    ticked, clock = run_virtual(main)
    assert ticked == [1, 2, 3]
    assert log == ["closed"]
    assert clock.time() == 4


def test_a_generator_that_is_dropped_is_closed_at_once() -> None:
    log: list[float] = []

    async def ticks() -> AsyncIterator[float]:
        try:
            while True:
                yield await nap()
        finally:
            log.append(await nap())

    async def main() -> None:
        async for _ in ticks():
            break
        gc.collect()
        await nap(10)

    run_virtual(main)
    assert log == [2]


def test_the_executor_shuts_down_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    async def main() -> str:
        return await asyncio.to_thread(lambda: "from a thread")

    assert run_virtual(main)[0] == "from a thread"
    assert [str(warning.message) for warning in recwarn] == []


def test_an_executor_of_ones_own() -> None:
    async def main() -> list[int]:
        with ThreadPoolExecutor(1) as pool:
            loop = asyncio.get_running_loop()
            return await asyncio.gather(*(loop.run_in_executor(pool, abs, -number) for number in range(5)))

    result, clock = run_virtual(main)
    assert result == [0, 1, 2, 3, 4]
    assert clock.time() == 0


@in_virtual_time
async def test_the_exception_handler_is_told_the_usual() -> None:
    loop = asyncio.get_running_loop()
    told: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: told.append(context))

    async def fail() -> None:
        raise LookupError

    task = asyncio.create_task(fail())
    await nap()
    del task
    gc.collect()
    assert told[0]["message"] == "Task exception was never retrieved"


def test_futures_are_asyncios() -> None:
    with contextlib.closing(VirtualEventLoop()) as loop:
        future = loop.create_future()
        assert type(future) is asyncio.Future
        assert future.get_loop() is loop


# ------------------------------------------------------------------ subclasses and threads


def test_a_subclass() -> None:
    class OwnLoop(VirtualEventLoop):
        def __init__(self) -> None:
            super().__init__(start=1000)
            self.scheduled: list[float] = []

        def call_at(self, when: float, *args: Any, **options: Any) -> Any:  # type: ignore[override]
            self.scheduled.append(when)
            return super().call_at(when, *args, **options)

    with asyncio.Runner(loop_factory=OwnLoop) as runner:
        assert runner.run(nap(5)) == 1005
        loop = runner.get_loop()
        assert isinstance(loop, OwnLoop)
        assert loop.scheduled == [1005]


def in_threads(*targets: Callable[[], object]) -> None:
    failures: list[BaseException] = []

    def guard(target: Callable[[], object]) -> None:
        try:
            target()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guard, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_a_thread_of_its_own() -> None:
    def main() -> None:
        result, clock = run_virtual(lambda: nap(3600))
        assert result == clock.time() == 3600

    in_threads(main)


def test_loops_in_several_threads_have_each_their_own_time() -> None:
    together = threading.Barrier(4)

    def main(hours: int) -> None:
        async def work() -> None:
            for hour in range(1, hours + 1):
                await asyncio.gather(nap(3600), nap(60))
                assert asyncio.get_running_loop().time() == hour * 3600

        together.wait(30)
        run_virtual(work, start=0)

    in_threads(*(lambda hours=hours: main(hours) for hours in (1, 10, 100, 500)))


def test_a_loop_in_a_thread_of_a_loop() -> None:
    async def inner() -> float:
        return await nap(86400)

    async def main() -> None:
        await nap(5)
        assert (await asyncio.to_thread(run_virtual, inner))[0] == 86400
        assert the_clock().time() == 5
        assert await nap(5) == 10

    run_virtual(main, budgets=Budgets(patience=60))


def test_a_coroutine_from_another_thread() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        def call() -> float:
            return asyncio.run_coroutine_threadsafe(nap(3600), loop).result(30)

        assert await asyncio.to_thread(call) == 3600
        assert the_clock().time() == 3600

    run_virtual(main)
