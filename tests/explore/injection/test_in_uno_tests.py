"""Injections in uno tests: the detectors of the plugin say which one has left what they find."""

from __future__ import annotations

import pytest

_HEAD = """
    import asyncio
    import socket
    import threading

    import pytest

    from pytest_uno.explore import assert_cancel_safe, assert_fault_safe

    pytestmark = pytest.mark.uno_async
"""

_FINE = """
    async def answer(reader, writer):
        writer.write(await reader.readline())
        writer.close()

    async def start():
        return await asyncio.start_server(answer, "127.0.0.1", 0)

    async def stop(server):
        server.close()
        await server.wait_closed()

    async def ask(server):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            writer.write(b"x\\n")
            assert await reader.readline() == b"x\\n"
        finally:
            writer.close()

    async def work(lock):
        async with lock, asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(1))
            await asyncio.to_thread(sum, [1])
            with open(__file__):
                await asyncio.sleep(1)

    async def test_server():
        assert await assert_cancel_safe(ask, setup=start, teardown=stop) > 0

    async def test_locks_threads_and_files():
        assert await assert_cancel_safe(work, setup=asyncio.Lock, depth=2) > 0

    async def test_faults():
        assert await assert_fault_safe(work, (asyncio, "sleep"), OSError, setup=asyncio.Lock) > 0
"""

_LEAKY_TIMER = """
    async def test_timer():
        async def use():
            timer = asyncio.get_running_loop().call_later(60, print)
            await asyncio.sleep(1)
            timer.cancel()

        await assert_cancel_safe(use, moments="wake")
"""

_LEAKY = """
    async def test_socket():
        async def use():
            sock = socket.socket()
            await asyncio.sleep(1)
            sock.close()

        await assert_cancel_safe(use, moments="wait")

    async def test_file(tmp_path):
        async def use(world):
            world.append(open(tmp_path / "file", "w"))
            await asyncio.sleep(1)
            world[0].close()

        await assert_cancel_safe(use, setup=list, moments="wait")
"""


@pytest.fixture(autouse=True)
def ini(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\naddopts = -p no:randomly\n")


def test_nothing_is_found_of_what_is_closed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(_HEAD + _FINE)
    pytester.runpytest().assert_outcomes(passed=3)


def test_what_the_detectors_find_is_blamed_on_its_injection(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(_HEAD + _LEAKY_TIMER + _LEAKY)
    result = pytester.runpytest()
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "E * - left behind: UNO203 *, made at *: timer = asyncio.get_running_loop().call_later(60, print)",
            "E * - left behind: UNO404 socket was not closed, made at *: sock = socket.socket()",
            'E * - left behind: UNO405 *, made at *: world.append(open(tmp_path / "file", "w"))',
        ],
        consecutive=False,
    )
    # It is disposed of, so that the test does not fail for it a second time.
    result.stdout.no_fnmatch_line("*leak report*")


def test_what_is_off_or_allowed_is_not_held_against_the_operation(pytester: pytest.Pytester) -> None:
    allowed = "    @pytest.mark.uno_async(allow_leaks='UNO203')"
    pytester.makepyfile(_HEAD + allowed + _LEAKY_TIMER)
    pytester.runpytest().assert_outcomes(passed=1)
    pytester.makepyfile(_HEAD + _LEAKY_TIMER)
    pytester.runpytest("--uno-leak-level", "UNO203=off").assert_outcomes(passed=1)
    pytester.runpytest("-o", "uno_leak_allow=UNO203 *::*: known").assert_outcomes(passed=1)


def test_nothing_is_asked_where_nothing_is_watched(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(_HEAD + _LEAKY_TIMER)
    pytester.runpytest("-o", "uno_leaks=off").assert_outcomes(passed=1)


def test_a_task_that_goes_on_is_blamed_on_its_injection(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        _HEAD
        + """
    async def test_task():
        async def use():
            task = asyncio.create_task(asyncio.sleep(60), name="poller")
            await asyncio.sleep(1)
            task.cancel()

        await assert_cancel_safe(use, moments="wait")
    """
    )
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E * - left behind: a task that goes on: 'poller', sleep()*"])
    # It was ended, so that the test does not fail for it a second time.
    result.stdout.no_fnmatch_line("*leak report*")
