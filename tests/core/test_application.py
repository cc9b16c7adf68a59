"""run_application: start-up, signals, clean-up."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
import threading
from typing import Any

import pytest

from pytest_uno.core.async_manager import AsyncManager, get_async_manager, run_application
from tests.core.coroutines import hang, passes
from tests.core.jumping_loop import in_jumping_loop, run
from tests.core.raised_signals import raise_soon

pytestmark = pytest.mark.usefixtures("handlers_are_restored")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order_and_is_returned(number: signal.Signals) -> None:
    seen: list[str] = []

    async def start() -> None:
        seen.append("start")
        manager = get_async_manager()
        await manager.register_resource([], close=lambda: seen.append("resource"))
        manager.create_task(work())
        raise_soon(number)

    async def work() -> None:
        try:
            await hang()
        finally:
            seen.append("task")

    async def clean_up() -> None:
        seen.append("clean-up")

    assert run(run_application(start, clean_up)) is number
    assert seen == ["start", "clean-up", "task", "resource"]


def test_both_functions_may_be_synchronous_or_missing() -> None:
    seen: list[str] = []

    def start() -> None:
        seen.append("start")
        raise_soon()

    assert run(run_application(start, lambda: seen.append("clean-up"))) is signal.SIGTERM
    assert seen == ["start", "clean-up"]

    async def main() -> signal.Signals | None:
        raise_soon()
        return await run_application(cleanup_func=lambda: seen.append("again"))

    assert run(main()) is signal.SIGTERM
    assert seen[-1] == "again"


@in_jumping_loop
async def test_a_manager_of_your_own_is_started_used_and_ended() -> None:
    manager = AsyncManager("mine")
    seen: list[object] = []
    manager.add_startup_hook(lambda: seen.append(manager.state))

    def start() -> None:
        seen.append(get_async_manager() is manager)
        seen.append(manager.state)
        manager.request_shutdown()

    outside = get_async_manager()
    assert await run_application(start, manager=manager) is None
    assert seen == ["new", True, "running"]
    assert manager.closed
    assert get_async_manager() is outside


@in_jumping_loop
async def test_a_manager_that_runs_already_is_fine() -> None:
    async with AsyncManager() as manager:
        assert await run_application(manager.request_shutdown, manager=manager) is None
        assert manager.closed


@in_jumping_loop
async def test_a_task_that_shuts_the_manager_down_ends_it() -> None:
    async def work() -> None:
        await get_async_manager().shutdown()

    tasks: list[asyncio.Task[None]] = []
    assert await run_application(lambda: tasks.append(get_async_manager().create_task(work()))) is None
    await asyncio.wait(tasks)


@in_jumping_loop
async def test_signals_can_be_chosen() -> None:
    assert await run_application(raise_soon, signals=[signal.SIGTERM]) is signal.SIGTERM
    assert await run_application(lambda: get_async_manager().request_shutdown(), signals=()) is None


@in_jumping_loop
async def test_what_was_installed_while_a_wrong_signal_was_found_is_taken_back() -> None:
    with pytest.raises(ValueError):
        await run_application(signals=[signal.SIGTERM, 10_000])


@in_jumping_loop
async def test_handlers_from_outside_of_python_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[tuple[int, Any]] = []
    monkeypatch.setattr(signal, "signal", lambda number, handler: installed.append((number, handler)))
    await run_application(lambda: get_async_manager().request_shutdown())
    assert [number for number, _ in installed] == [signal.SIGINT, signal.SIGTERM]


# ---------------------------------------------------------------------------------------------- failures


@in_jumping_loop
async def test_a_failing_start_is_raised_and_releases_but_is_not_cleaned_up_after() -> None:
    seen: list[str] = []

    async def start() -> None:
        await get_async_manager().register_resource([], close=lambda: seen.append("resource"))
        raise OSError("no port")

    manager = AsyncManager(on_task_error=lambda task, exc: pytest.fail("it was seen"))
    with pytest.raises(OSError, match="no port"):
        await run_application(start, lambda: seen.append("clean-up"), manager=manager)
    assert seen == ["resource"]
    assert manager.closed
    assert manager.errors == ()


@in_jumping_loop
async def test_a_failing_startup_hook_is_raised() -> None:
    manager = AsyncManager()
    manager.add_startup_hook(lambda: int("x"))
    with pytest.raises(ValueError):
        await run_application(lambda: pytest.fail("must not run"), manager=manager)
    assert manager.closed


@in_jumping_loop
async def test_shutdown_errors_are_raised() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await run_application(raise_soon, lambda: 1 / 0)
    assert isinstance(caught.value.exceptions[0], ZeroDivisionError)


@pytest.mark.parametrize("while_starting", [True, False])
def test_cancelling_the_call_ends_it_in_order(while_starting: bool) -> None:
    async def main() -> None:
        seen: list[str] = []
        started = asyncio.Event()

        async def start() -> None:
            await get_async_manager().register_resource([], close=lambda: seen.append("resource"))
            started.set()
            if while_starting:
                await hang()

        task = asyncio.create_task(run_application(start, lambda: seen.append("clean-up")))
        await started.wait()
        await passes(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == (["resource"] if while_starting else ["clean-up", "resource"])

    run(main())


# ---------------------------------------------------------------------------------------------- elsewhere


def test_off_the_main_thread_it_works_without_signals() -> None:
    results: list[object] = []

    async def start() -> None:
        asyncio.get_running_loop().call_soon(get_async_manager().request_shutdown)

    def main() -> None:
        results.append(run(run_application(start, lambda: results.append("clean-up"))))

    thread = threading.Thread(target=main)
    thread.start()
    thread.join()
    assert results == ["clean-up", None]


@pytest.mark.skipif(sys.platform == "win32", reason="a signal from outside ends a Windows process")
def test_as_a_process_of_its_own() -> None:
    program = """
        import asyncio, signal
        from pytest_uno.core.async_manager import get_async_manager, run_application

        async def start():
            manager = get_async_manager()
            await manager.register_resource([], close=lambda: print("closed", flush=True))
            manager.create_task(asyncio.sleep(3600))
            print("ready", flush=True)

        print(repr(asyncio.run(run_application(start, lambda: print("clean-up", flush=True)))))
        print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        output = process.stdout.read()
    assert output.splitlines() == ["clean-up", "closed", repr(signal.SIGTERM), "True"]
    assert process.returncode == 0
