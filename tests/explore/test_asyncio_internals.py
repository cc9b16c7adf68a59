"""Each private name is checked for what we read into it, on every supported Python."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pytest_uno.clock.asyncio_internals import waiter_of
from pytest_uno.explore import asyncio_internals as internals


class Recording(asyncio.SelectorEventLoop):
    """Keeps what it is asked to call."""

    def __init__(self) -> None:
        super().__init__()
        self.timers: list[tuple[object, bool]] = []
        self.yields = 0

    def call_at(self, when, callback, *args, **options):  # type: ignore[no-untyped-def, override]
        handle = super().call_at(when, callback, *args, **options)
        self.timers.append((callback, internals.is_deadline(handle)))
        return handle

    def call_soon(self, callback, *args, **options):  # type: ignore[no-untyped-def, override]
        self.yields += internals.is_step_of(callback, asyncio.current_task(self))
        return super().call_soon(callback, *args, **options)


def record(main: Callable[[], Coroutine[Any, Any, None]]) -> Recording:
    with asyncio.Runner(loop_factory=Recording) as runner:
        runner.run(main())
        loop = runner.get_loop()
        assert isinstance(loop, Recording)
        return loop


def test_sleep_is_known_by_its_callback() -> None:
    async def main() -> None:
        await asyncio.sleep(0.001)
        asyncio.get_running_loop().call_later(0.001, int)
        await asyncio.sleep(0)

    loop = record(main)
    assert [callback is internals.SLEEP_CALLBACK for callback, _ in loop.timers] == [True, False]
    assert not any(is_deadline for _, is_deadline in loop.timers)


def test_sleep_zero_is_a_step_of_the_running_task() -> None:
    async def main() -> None:
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0.001))
        await asyncio.sleep(0)

    assert record(main).yields == 2


def test_deadlines() -> None:
    async def main() -> None:
        event = asyncio.Event()
        waiting = asyncio.create_task(event.wait())
        async with asyncio.timeout(100):
            await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.sleep(0.001), 100)
        await asyncio.wait([waiting], timeout=0.001)
        for first in asyncio.as_completed([asyncio.sleep(0.001)], timeout=100):
            await first
        event.set()
        await waiting

    loop = record(main)
    deadlines = [is_deadline for _, is_deadline in loop.timers]
    sleeps = [callback is internals.SLEEP_CALLBACK for callback, _ in loop.timers]
    assert deadlines.count(True) == 4
    assert sleeps.count(True) == 2
    assert not any(one and other for one, other in zip(deadlines, sleeps, strict=True))


def test_must_cancel() -> None:
    async def main() -> None:
        task = asyncio.create_task(asyncio.sleep(0))
        assert not internals.must_cancel(task)
        task.cancel()
        assert internals.must_cancel(task)
        await asyncio.wait([task])

    asyncio.run(main())


def test_exception_is_read_without_being_retrieved() -> None:
    async def fail() -> None:
        raise LookupError

    async def main() -> None:
        task = asyncio.create_task(fail())
        done = asyncio.create_task(asyncio.sleep(0))
        await asyncio.wait([task, done])
        assert isinstance(internals.exception_of(task), LookupError)
        assert internals.exception_of(done) is None
        assert getattr(task, "_log_traceback")  # noqa: B009 - asyncio still means to report it
        task.exception()

    asyncio.run(main())


def test_generators_and_executor() -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert not internals.has_generators(loop)
        assert internals.default_executor_of(loop) is None
        generator = numbers()
        await anext(generator)
        assert internals.has_generators(loop)
        await asyncio.to_thread(int)
        executor = internals.default_executor_of(loop)
        assert isinstance(executor, ThreadPoolExecutor)
        assert [thread.is_alive() for thread in internals.threads_of(executor)] == [True]
        await generator.aclose()  # type: ignore[attr-defined]

    asyncio.run(main())


def test_reading_future() -> None:
    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert internals.reading_future(writer.transport) is None
        task = asyncio.create_task(reader.read(1))
        await asyncio.sleep(0)
        assert internals.reading_future(writer.transport) is waiter_of(task)
        writer.close()
        await asyncio.wait([task])
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.001)

    asyncio.run(main())


def test_handle_of_threads() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        handle = loop.call_soon_threadsafe(int)
        assert type(handle) is internals.ThreadHandle

    asyncio.run(main())


def test_another_loop_within_a_running_one() -> None:
    async def inner() -> str:
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        return task.get_name()

    async def main() -> None:
        mine = asyncio.current_task()
        with internals.outside_running_loop():
            assert asyncio.run(inner()).startswith("Task-")
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
        assert asyncio.current_task() is mine
        assert await inner()

    asyncio.run(main())
    with internals.outside_running_loop():
        assert threading.current_thread() is threading.main_thread()
