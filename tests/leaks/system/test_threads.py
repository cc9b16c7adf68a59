from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import inspect
import socketserver
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator
from typing import Any

import aiosqlite
import anyio.to_thread
import pytest

from pytest_uno.leaks.owners import OWNER, Owner
from tests.leaks.examples import LineOf, Test, listed_in, listed_with, nothing, on_both_loops

LEAKY: list[Any] = []
CLEAN: list[Any] = []
KEPT: list[Any] = []
STOP = threading.Event()

leaks = listed_with(LEAKY)
clean = listed_in(CLEAN)


@pytest.fixture(autouse=True)
def stop() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    STOP.set()
    for thread in set(threading.enumerate()) - before:
        if not thread.name.startswith(("pytest", "asyncio")):
            thread.join(5)
    STOP.clear()
    KEPT.clear()


def serve() -> None:
    STOP.wait()


@leaks("thread running serve() has not ended")
async def not_joined() -> None:
    threading.Thread(target=serve).start()  # LEAK


@leaks("thread 'poller' running serve() has not ended")
async def daemon_with_a_name() -> None:
    threading.Thread(target=functools.partial(serve), name="poller", daemon=True).start()  # LEAK


@leaks("thread running serve() has not ended")
async def timer() -> None:
    threading.Timer(60, serve).start()  # LEAK


@leaks("thread running subclass.<locals>.Server.run() has not ended")
async def subclass() -> None:
    class Server(threading.Thread):
        def run(self) -> None:
            serve()

    Server().start()  # LEAK


@leaks("thread running serve() has not ended")
async def in_a_helper_thread() -> None:
    def work() -> None:
        threading.Thread(target=serve).start()  # LEAK

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@leaks("thread running serve() has not ended")
async def in_a_worker() -> None:
    await asyncio.to_thread(lambda: threading.Thread(target=serve).start())  # LEAK


@leaks("thread running ThreadingMixIn.process_request_thread() has not ended")
async def of_a_library() -> None:
    class Server(socketserver.ThreadingMixIn):
        daemon_threads = True
        block_on_close = False

        def finish_request(self, *args: object) -> None:
            serve()

        def shutdown_request(self, *args: object) -> None: ...

    Server().process_request(None, None)  # type: ignore[arg-type]  # LEAK


@leaks("thread of an executor that was shut down has not ended its work")
async def of_an_executor_that_was_shut_down() -> None:
    pool = concurrent.futures.ThreadPoolExecutor(1)
    pool.submit(serve)  # LEAK
    pool.shutdown(wait=False)


@leaks("thread of an executor that was shut down has not ended its work")
async def of_an_executor_that_was_dropped() -> None:
    concurrent.futures.ThreadPoolExecutor(1).submit(serve)  # LEAK


@clean
async def joined() -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()


@clean
async def about_to_end() -> None:
    threading.Thread(target=time.sleep, args=(0.02,), daemon=True).start()


@clean
async def about_to_end_when_the_loop_turns() -> None:
    loop = asyncio.get_running_loop()

    def work() -> None:
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(5)

    threading.Thread(target=work).start()


@clean
async def timer_cancelled() -> None:
    thread = threading.Timer(60, serve)
    thread.start()
    thread.cancel()


@clean
async def never_started() -> None:
    KEPT.append(threading.Thread(target=serve))


@clean
async def workers_of_the_loop() -> None:
    await asyncio.to_thread(time.sleep, 0)
    await asyncio.get_running_loop().run_in_executor(None, time.sleep, 0)
    await anyio.to_thread.run_sync(time.sleep, 0)


@clean
async def executor_used_well() -> None:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        await asyncio.get_running_loop().run_in_executor(pool, time.sleep, 0)
    pool = concurrent.futures.ThreadPoolExecutor(2)
    await asyncio.get_running_loop().run_in_executor(pool, time.sleep, 0)
    pool.shutdown(wait=False)
    await asyncio.get_running_loop().run_in_executor(concurrent.futures.ThreadPoolExecutor(1), time.sleep, 0)


@clean
async def worker_of_aiosqlite() -> None:
    async with aiosqlite.connect(":memory:") as connection:
        await connection.execute("select 1")


@clean
async def process_waited_for() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await process.wait()
    subprocess.run([sys.executable, "-c", ""], check=True)


@clean
async def monitor_that_a_library_keeps() -> None:
    module = types.ModuleType("a_library")
    module.__file__ = inspect.getfile(pytest)
    source = """
import threading
def start(target):
    class_of_bars.monitor = threading.Thread(target=target, daemon=True)
    class_of_bars.monitor.start()
class class_of_bars: pass
"""
    exec(compile(source, module.__file__, "exec"), vars(module))
    sys.modules["a_library"] = module
    KEPT.append(module)
    module.start(serve)


@on_both_loops
@pytest.mark.parametrize(("test", "subject"), LEAKY)
def test_a_leak_is_reported_once(bench: Any, test: Test, subject: str, line_of: LineOf) -> None:
    (finding,) = bench.run_test(test, loop_ends=False)
    assert (finding.rule, finding.subject) == ("UNO407", subject)
    assert finding.created[0].line == line_of(test, "# LEAK")
    assert bench.run_test(nothing) == []


@on_both_loops
@pytest.mark.parametrize("test", CLEAN)
def test_a_look_alike_is_silent(bench: Any, test: Test) -> None:
    try:
        assert bench.run_test(test, loop_ends=False) == []
        assert bench.run_test(nothing, loop_ends=False) == []
    finally:
        sys.modules.pop("a_library", None)
        bench.loop.run_until_complete(bench.loop.shutdown_default_executor())


def test_what_a_thread_makes_has_its_owner(bench: Any) -> None:
    fixture = Owner("fixture", "hub", "session")
    seen: list[Owner | None] = []
    go_on, done = threading.Event(), threading.Event()

    def work() -> None:
        go_on.wait(5)
        seen.append(OWNER.get())
        done.set()
        STOP.wait()

    async def set_up() -> None:
        KEPT.append(threading.Thread(target=work))
        KEPT[-1].start()

    async def test() -> None:
        go_on.set()
        done.wait(5)

    bench.run_as(fixture, set_up)
    assert bench.run_test(test) == []
    assert seen == [fixture]
    fixture.ended = True
    bench.detection.release(fixture)
    (finding,) = bench.detection.drain()
    assert (finding.rule, finding.owner.name) == ("UNO407", "hub")


def test_a_worker_goes_from_owner_to_owner(bench: Any) -> None:
    seen: list[Owner | None] = []
    owners = [Owner("test", name) for name in "ab"]

    async def test() -> None:
        await asyncio.get_running_loop().run_in_executor(pool, lambda: seen.append(OWNER.get()))

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        for owner in owners:
            bench.run_as(owner, test)
    assert seen == owners


def test_a_thread_that_a_wider_fixture_holds_is_the_fixtures(bench: Any) -> None:
    fixture = Owner("fixture", "hub", "session")
    value: list[Any] = []
    bench.detection.retain(fixture, value)

    async def test() -> None:
        value.append(threading.Thread(target=serve))
        value[-1].start()

    assert bench.run_test(test) == []
    STOP.set()
    value[-1].join()
    fixture.ended = True
    bench.detection.release(fixture)
    assert bench.detection.drain() == []


def test_a_timer_is_cancelled_when_it_was_reported(bench: Any) -> None:
    async def test() -> None:
        KEPT.append(threading.Timer(60, serve))
        KEPT[-1].start()

    assert len(bench.run_test(test)) == 1
    assert KEPT[-1].finished.is_set()


def test_a_thread_without_frames_of_the_user_is_nobodys(bench: Any) -> None:
    source = "import threading\ndef start(target): threading.Thread(target=target).start()\n"
    plugin: dict[str, Any] = {"__name__": "plugin"}
    exec(compile(source, inspect.getfile(pytest), "exec"), plugin)

    async def test() -> None:
        # The first callback of a loop is called by nobody else.
        asyncio.get_running_loop().call_soon(plugin["start"], serve)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert bench.run_test(test) == []


@pytest.mark.parametrize("name", ["start", "_bootstrap_inner"])
def test_a_method_looks_as_before(bench: Any, name: str) -> None:
    def shape() -> tuple[Any, ...]:
        method = getattr(threading.Thread, name)
        return method.__name__, method.__doc__, inspect.signature(method)

    patched = shape()
    bench.detection.remove()
    assert patched == shape()
