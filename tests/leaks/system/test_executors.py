from __future__ import annotations

import asyncio
import concurrent.futures
import concurrent.futures.process
import gc
import inspect
import multiprocessing.pool
import sys
import threading
import time
import types
from collections.abc import Iterator
from typing import Any

import anyio.to_thread
import pytest

from pytest_uno.leaks.owners import Owner
from tests.leaks.examples import LineOf, Test, listed_in, listed_with, nothing, on_both_loops

LEAKY: list[Any] = []
CLEAN: list[Any] = []
KEPT: list[Any] = []
STOP = threading.Event()

leaks = listed_with(LEAKY)
clean = listed_in(CLEAN)


@pytest.fixture(autouse=True)
def stop() -> Iterator[None]:
    yield
    STOP.set()
    for pool in KEPT:
        if isinstance(pool, concurrent.futures.Executor):
            pool.shutdown()
    KEPT.clear()
    STOP.clear()


@leaks("ThreadPoolExecutor")
async def of_threads() -> None:
    pool = concurrent.futures.ThreadPoolExecutor(2)  # LEAK
    KEPT.append(pool)
    await asyncio.get_running_loop().run_in_executor(pool, time.sleep, 0)


@leaks("ThreadPoolExecutor")
async def at_work() -> None:
    KEPT.append(concurrent.futures.ThreadPoolExecutor(1))  # LEAK
    KEPT[-1].submit(STOP.wait)


@leaks("subclass.<locals>.Pool")
async def subclass() -> None:
    class Pool(concurrent.futures.ThreadPoolExecutor):
        pass

    KEPT.append(Pool())  # LEAK
    KEPT[-1].submit(int).result()


@leaks("ThreadPoolExecutor")
async def in_a_helper_thread() -> None:
    def work() -> None:
        pool = concurrent.futures.ThreadPoolExecutor(1)  # LEAK
        KEPT.append(pool)
        pool.submit(int).result()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@leaks("ThreadPool")
async def of_multiprocessing() -> None:
    KEPT.append(multiprocessing.pool.ThreadPool(1))  # LEAK
    KEPT[-1].apply(int)


@clean
async def in_a_block() -> None:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        await asyncio.get_running_loop().run_in_executor(pool, time.sleep, 0)
    KEPT.append(pool)


@clean
async def shut_down_without_waiting() -> None:
    pool = concurrent.futures.ThreadPoolExecutor(2)
    KEPT.append(pool)
    await asyncio.get_running_loop().run_in_executor(pool, time.sleep, 0)
    pool.shutdown(wait=False)


@clean
async def never_used() -> None:
    KEPT.append(concurrent.futures.ThreadPoolExecutor(2))


@clean
async def dropped() -> None:
    await asyncio.get_running_loop().run_in_executor(concurrent.futures.ThreadPoolExecutor(1), time.sleep, 0)


@clean
async def dropped_in_a_cycle() -> None:
    cycle: list[Any] = [concurrent.futures.ThreadPoolExecutor(1)]
    cycle[0].submit(int).result()
    cycle.append(cycle)


@clean
async def of_the_loop() -> None:
    await asyncio.to_thread(time.sleep, 0)
    KEPT.append(asyncio.get_running_loop()._default_executor)  # type: ignore[attr-defined]


@clean
async def given_to_the_loop() -> None:
    pool = concurrent.futures.ThreadPoolExecutor(1)
    KEPT.append(pool)
    asyncio.get_running_loop().set_default_executor(pool)
    await asyncio.to_thread(time.sleep, 0)


@clean
async def of_a_loop_in_a_thread() -> None:
    await asyncio.to_thread(asyncio.run, asyncio.to_thread(time.sleep, 0))


@clean
async def pool_of_multiprocessing() -> None:
    with multiprocessing.pool.ThreadPool(1) as pool:
        pool.apply(int)
    KEPT.append(pool)
    pool.join()


@on_both_loops
@pytest.mark.parametrize(("test", "kind"), LEAKY)
def test_a_leak_is_reported_once(bench: Any, test: Test, kind: str, line_of: LineOf) -> None:
    (finding,) = bench.run_test(test, loop_ends=False)
    assert (finding.rule, finding.subject) == ("UNO408", f"{kind} was not shut down")
    assert finding.created[0].line == line_of(test, "# LEAK")
    assert bench.run_test(nothing) == []


@on_both_loops
@pytest.mark.parametrize("test", CLEAN)
def test_a_look_alike_is_silent(bench: Any, test: Test) -> None:
    assert bench.run_test(test, loop_ends=False) == []
    gc.collect()
    assert bench.run_test(nothing, loop_ends=False) == []
    bench.loop.run_until_complete(bench.loop.shutdown_default_executor())


def test_a_pool_is_shut_down_when_it_was_reported(bench: Any) -> None:
    assert len(bench.run_test(of_threads)) == 1
    with pytest.raises(RuntimeError, match="after shutdown"):
        KEPT[-1].submit(int)


@pytest.mark.skipif(sys.platform == "win32", reason="takes seconds to start a process there")
def test_a_pool_of_processes_is_reported_once(bench: Any) -> None:
    async def test() -> None:
        KEPT.append(concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")))
        KEPT[-1].submit(int).result()

    (finding,) = bench.run_test(test)
    assert finding.subject == "ProcessPoolExecutor was not shut down"
    assert bench.run_test(nothing, loop_ends=False) == []


def test_a_wider_fixture_may_keep_a_pool_that_a_test_has_made(bench: Any) -> None:
    fixture = Owner("fixture", "hub", "session")
    value: list[Any] = []
    bench.detection.retain(fixture, value)

    async def test() -> None:
        value.append(concurrent.futures.ThreadPoolExecutor(1))
        value[-1].submit(int).result()

    assert bench.run_test(test) == []
    assert bench.run_test(nothing, loop_ends=False) == []
    fixture.ended = True
    bench.detection.release(fixture)
    (finding,) = bench.detection.drain()
    assert (finding.rule, finding.owner.name) == ("UNO408", "hub")


def test_a_pool_that_no_line_of_the_user_has_made_is_nobodys(bench: Any) -> None:
    begin = threading.Event()
    names: dict[str, Any] = {"kept": KEPT, "wait": begin.wait, "Pool": concurrent.futures.ThreadPoolExecutor}
    source = "def work(): wait(), kept.append(Pool(1)), kept[0].submit(int).result()"
    exec(compile(source, "/x/site-packages/lib.py", "exec"), names)
    thread = threading.Thread(target=names["work"])  # of no test: it has no lines of the user's either
    thread.start()

    async def test() -> None:
        begin.set()
        thread.join()

    assert bench.run_test(test, loop_ends=False) == []


def test_a_worker_of_anyio_that_nobody_asks_for_works(bench: Any) -> None:
    async def work() -> int:
        return await anyio.to_thread.run_sync(int)

    assert bench.run_test(work, loop_ends=False) == []
    assert bench.run_as(None, work) == 0


def test_an_anyio_of_another_make_is_left_alone(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class AsyncIOBackend: ...

    module: Any = types.ModuleType("anyio._backends._asyncio")
    module.AsyncIOBackend = AsyncIOBackend
    monkeypatch.setitem(sys.modules, module.__name__, module)
    before = dict(vars(AsyncIOBackend))
    assert bench.run_test(nothing) == []
    assert dict(vars(AsyncIOBackend)) == before


def test_a_job_raises_as_before(bench: Any) -> None:
    async def test() -> None:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)

    assert bench.run_test(test) == []


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (concurrent.futures.ThreadPoolExecutor, "__init__"),
        (concurrent.futures.ThreadPoolExecutor, "submit"),
        (concurrent.futures.ThreadPoolExecutor, "shutdown"),
        (concurrent.futures.process.ProcessPoolExecutor, "submit"),
        (multiprocessing.pool.Pool, "terminate"),
    ],
)
def test_a_method_looks_as_before(bench: Any, owner: type, name: str) -> None:
    def shape() -> tuple[Any, ...]:
        method = getattr(owner, name)
        return method.__name__, method.__doc__, inspect.signature(method)

    bench.run_test(nothing)
    patched, method = shape(), getattr(owner, name)
    bench.detection.remove()
    assert patched == shape()
    assert getattr(owner, name) is not method
