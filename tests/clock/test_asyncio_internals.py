"""Each private attribute is checked for what we read into it, on every supported Python."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import types
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pytest_uno.clock import asyncio_internals as internals
from pytest_uno.clock.awaiters import captured


@pytest.mark.asyncio
async def test_waiter_and_callbacks() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait() -> None:
        await future

    task = asyncio.create_task(wait())
    assert internals.waiter_of(task) is None
    assert internals.callbacks_of(future) == []
    await asyncio.sleep(0)
    assert internals.waiter_of(task) is future
    (wake_up,) = internals.callbacks_of(future)
    assert list(captured(wake_up)) == [task]
    future.set_result(None)
    await task
    assert internals.waiter_of(task) is None
    assert internals.callbacks_of(future) == []


@pytest.mark.asyncio
async def test_gathered() -> None:
    loop = asyncio.get_running_loop()
    one, other = loop.create_future(), loop.create_future()
    gathering = asyncio.gather(one, other)
    assert internals.gathered(gathering) == [one, other]
    assert internals.gathered(one) is None
    one.set_result(None)
    other.set_result(None)
    await gathering


@pytest.mark.asyncio
async def test_shielded() -> None:
    inner: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    outer = asyncio.shield(inner)
    assert [internals.shielded(callback) for callback in internals.callbacks_of(outer)] == [inner]
    assert internals.shielded(inner.cancel) is None
    assert internals.shielded(test_gathered) is None
    inner.set_result(None)
    await outer


@pytest.mark.asyncio
async def test_group() -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(asyncio.sleep(0))
        assert internals.group_tasks(group) == [task]
        assert internals.group_host(group) is asyncio.current_task()
    assert internals.group_tasks(group) == []


@pytest.mark.asyncio
async def test_queue() -> None:
    queue = asyncio.Queue[int]()
    getter = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert internals.queue_waiters(queue) == [internals.waiter_of(getter)]
    assert internals.queue_debt(queue) == 0
    queue.put_nowait(1)
    assert internals.queue_debt(queue) == 1
    await getter


@pytest.mark.asyncio
async def test_results_queue() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    iterator = asyncio.as_completed([future])
    if type(iterator).__name__ == "_AsCompletedIterator":
        assert isinstance(internals.results_queue(iterator), asyncio.Queue)
    else:
        assert internals.results_queue(iterator) is None
        shape: Any = type("_AsCompletedIterator", (), {"_done": asyncio.Queue[int]()})()
        assert internals.results_queue(shape) is shape._done


@pytest.mark.asyncio
async def test_condition_lock() -> None:
    lock = asyncio.Lock()
    assert internals.condition_lock(asyncio.Condition(lock)) is lock


@pytest.mark.asyncio
async def test_the_transport_of_a_stream() -> None:
    reader = asyncio.StreamReader()
    assert internals.transport_of(reader) is None
    below = asyncio.Transport()
    reader.set_transport(below)
    assert internals.transport_of(reader) is below
    assert internals.below_tls(below) is below
    # The shape of TLS; test_streams.py has the real thing.
    above: Any = types.SimpleNamespace(_ssl_protocol=types.SimpleNamespace(_transport=below))
    assert internals.below_tls(above) is below


@pytest.mark.asyncio
async def test_what_a_reader_waits_for() -> None:
    reader = asyncio.StreamReader()
    assert internals.data_waiter_of(reader) is None
    coroutine = reader.readline()
    waiter = coroutine.send(None)
    assert internals.data_waiter_of(reader) is waiter
    coroutine.close()
    assert internals.WAIT_FOR_DATA.co_name == "_wait_for_data"
    assert internals.WAIT_FOR_DATA.co_filename == asyncio.streams.__file__


def test_creation_site() -> None:
    async def main() -> tuple[str, int] | None:
        return internals.creation_site(asyncio.get_running_loop().create_future())

    assert asyncio.run(main(), debug=True) == (__file__, main.__code__.co_firstlineno + 1)
    assert asyncio.run(main(), debug=False) is None


@pytest.mark.asyncio
async def test_exit_callbacks_and_context_generator() -> None:
    @contextlib.asynccontextmanager
    async def manage() -> AsyncIterator[None]:
        yield

    manager = manage()
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(manager)
        (callback,) = internals.exit_callbacks(stack)
        assert list(captured(callback)) == [manager]
        generator = internals.context_generator(manager)
        assert generator is not None
        assert generator.ag_code.co_name == "manage"
    assert internals.context_generator(stack) is None


def test_cell_value() -> None:
    assert internals.cell_value(types.CellType(7)) == 7
    assert internals.cell_value(types.CellType()) is None


def test_captured_arguments() -> None:
    assert list(captured(functools.partial(asyncio.sleep, 5))) == [5]
    assert list(captured(functools.partial(print, 5))) == []
    assert list(captured(test_cell_value)) == []
