"""run_application: signals and shutdowns at odd times."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading

import pytest

from pytest_uno.core.async_manager import AsyncManager, get_async_manager, run_application
from tests.core.coroutines import hang, passes
from tests.core.jumping_loop import JumpingLoop, in_jumping_loop
from tests.core.raised_signals import raise_soon

pytestmark = pytest.mark.usefixtures("handlers_are_restored")


@in_jumping_loop
async def test_a_signal_during_the_start_cancels_it() -> None:
    seen: list[str] = []

    async def start() -> None:
        await get_async_manager().register_resource([], close=lambda: seen.append("resource"))
        raise_soon()
        try:
            await hang()
        finally:
            seen.append("start ended")

    assert await run_application(start, lambda: seen.append("clean-up")) is signal.SIGTERM
    assert seen == ["start ended", "resource"]


@in_jumping_loop
async def test_a_start_that_completes_although_it_was_cancelled_is_cleaned_up_after() -> None:
    seen: list[str] = []

    async def start() -> None:
        raise_soon()
        try:
            await hang()
        except asyncio.CancelledError:
            await passes(5)
        seen.append("start completed")

    assert await run_application(start, lambda: seen.append("clean-up")) is signal.SIGTERM
    assert seen == ["start completed", "clean-up"]


@in_jumping_loop
async def test_a_start_that_fails_when_it_is_cancelled_is_raised() -> None:
    async def start() -> None:
        raise_soon()
        try:
            await hang()
        finally:
            raise OSError("while giving up")

    with pytest.raises(ExceptionGroup) as caught:
        await run_application(start)
    assert str(caught.value.exceptions[0]) == "while giving up"


@in_jumping_loop
async def test_a_start_that_ignores_its_cancellation_is_reported() -> None:
    release = asyncio.Event()

    async def start() -> None:
        raise_soon()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    seen: list[str] = []
    manager = AsyncManager("app", shutdown_timeout=10)
    with pytest.raises(ExceptionGroup) as caught:
        await run_application(start, lambda: seen.append("never"), manager=manager)
    assert "'app/start-up' at " in str(caught.value.exceptions[0])
    assert asyncio.get_running_loop().time() <= 10
    release.set()
    await passes()
    assert seen == []  # too late for a clean-up


@in_jumping_loop
async def test_a_start_that_shuts_down_itself_is_not_waited_for() -> None:
    async def start() -> None:
        await get_async_manager().shutdown()

    assert await run_application(start) is None
    assert asyncio.get_running_loop().time() == 0


@in_jumping_loop
async def test_a_start_that_goes_on_after_shutting_down_is_left_alone() -> None:
    go_on = asyncio.Event()
    ended: list[bool] = []

    async def start() -> None:
        await get_async_manager().shutdown()
        await go_on.wait()
        ended.append(True)

    assert await run_application(start) is None
    assert ended == []
    go_on.set()
    await passes()
    assert ended == [True]


@in_jumping_loop
async def test_a_start_that_shuts_down_when_cancelled_is_not_waited_for() -> None:
    async def start() -> None:
        raise_soon()
        try:
            await hang()
        finally:
            await get_async_manager().shutdown()

    assert await run_application(start) is signal.SIGTERM
    assert asyncio.get_running_loop().time() == 0


@in_jumping_loop
async def test_a_second_signal_hurries() -> None:
    ended: list[str] = []

    async def close() -> None:
        raise_soon(signal.SIGINT)
        try:
            await hang()
        finally:
            ended.append("cancelled")

    async def start() -> None:
        manager = get_async_manager()
        await manager.register_resource([], "first", close=hang)
        await manager.register_resource([], "second", close=close)
        raise_soon(signal.SIGTERM)

    with pytest.raises(ExceptionGroup) as caught:
        await run_application(start)
    assert [type(error) for error in caught.value.exceptions] == [TimeoutError, TimeoutError]
    assert ended == ["cancelled"]
    assert asyncio.get_running_loop().time() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends a Windows process")
@in_jumping_loop
async def test_a_signal_wakes_a_loop_that_waits_for_io() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    waits = loop.waits

    def send() -> None:
        waits.wait()
        os.kill(os.getpid(), signal.SIGTERM)

    def start() -> None:
        waits.clear()
        thread.start()

    thread = threading.Thread(target=send)
    assert await run_application(start) is signal.SIGTERM
    thread.join()


@in_jumping_loop
async def test_the_wakeup_descriptor_is_used_and_taken_back() -> None:
    seen: list[int] = []

    def start() -> None:
        seen.append(signal.set_wakeup_fd(-1))
        signal.set_wakeup_fd(seen[0])
        raise_soon()

    await run_application(start)
    assert seen[0] != -1
    assert signal.set_wakeup_fd(-1) == -1


@pytest.mark.skipif(sys.platform == "win32", reason="loops have no signal handlers on Windows")
@pytest.mark.parametrize("meanwhile", [False, True])
def test_signal_handlers_of_the_loop_go_on_working(meanwhile: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        seen = asyncio.Event()
        if not meanwhile:
            loop.add_signal_handler(signal.SIGHUP, seen.set)

        async def start() -> None:
            if meanwhile:
                loop.add_signal_handler(signal.SIGHUP, seen.set)
            signal.raise_signal(signal.SIGHUP)
            await seen.wait()
            raise_soon()

        assert await run_application(start) is signal.SIGTERM
        seen.clear()
        signal.raise_signal(signal.SIGHUP)
        await seen.wait()
        loop.remove_signal_handler(signal.SIGHUP)

    asyncio.run(main())
