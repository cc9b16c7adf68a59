"""How a test fails on virtual time: once, at the line that waits, with the picture of all tasks."""

from __future__ import annotations

from typing import Any

import pytest


def test_a_deadlock_is_one_failure_at_the_line_that_waits(project: Any) -> None:
    result = project.run(
        """
    async def worker(lock):
        async with lock:
            pass

    @pytest.mark.uno_async
    async def test_stuck():
        lock = asyncio.Lock()
        async with lock, asyncio.TaskGroup() as group:
            group.create_task(worker(lock), name="worker")

    @pytest.mark.uno_async
    async def test_left_behind():
        asyncio.create_task(asyncio.Event().wait(), name="left behind")
        await asyncio.Event().wait()  # here

    @pytest.mark.uno_async
    async def test_next():
        await asyncio.sleep(1)
    """
    )
    assert project.outcomes(result) == {"failed": 2, "passed": 1}
    result.stdout.fnmatch_lines(
        [
            "*async with lock, asyncio.TaskGroup() as group:*",
            "E*DeadlockError: deadlock: every task is blocked*",
            "E*[[]the test] (test_stuck) waits for*",
            "E*'worker' [[]test test_stuck] (worker) waits for lock held by*",
            "E*fix: look above*",
            "E*#deadlock",
        ]
    )
    result.stdout.fnmatch_lines([">*await asyncio.Event().wait()  # here", "E*'left behind'*"])
    assert not project.lines_with(result, "UNO101")
    assert not project.lines_with(result, "harness/")


def test_a_deadlock_of_a_fixture_is_an_error_of_that_fixture(project: Any) -> None:
    result = project.run(
        """
    pytestmark = pytest.mark.uno_async

    @pytest.fixture
    async def at_the_start():
        await asyncio.Event().wait()  # start
        yield

    @pytest.fixture
    async def at_the_end():
        yield
        await asyncio.Event().wait()  # end

    @pytest.fixture(scope="session")
    async def no_generator():
        await asyncio.Event().wait()  # no generator

    async def test_start(at_the_start): ...

    async def test_end(at_the_end): ...

    async def test_wide(no_generator): ...

    async def test_next(): ...
    """
    )
    assert project.outcomes(result) == {"errors": 3, "passed": 2}
    for title, name in [
        ("setup of test_start", "start"),
        ("teardown of test_end", "end"),
        ("setup of test_wide", "no generator"),
    ]:
        result.stdout.fnmatch_lines(
            [
                f"*ERROR at {title}*",
                f">*await asyncio.Event().wait()  # {name}",
                "E*DeadlockError: deadlock:*",
            ]
        )
    result.stdout.fnmatch_lines(["E*[[]fixture 'at_the_start' (function, test_it.py:6)[]]*"])
    assert not project.lines_with(result, "UNO101")


@pytest.mark.parametrize("scope", ["function", "module"])
def test_timeout_is_exact_covers_fixtures_and_test_and_spares_the_teardown(project: Any, scope: str) -> None:
    result = project.run(
        f"""
    pytestmark = pytest.mark.uno_async(timeout=60, loop_scope="{scope}")

    @pytest.fixture
    async def slow():
        await asyncio.sleep(40)
        yield
        await asyncio.sleep(600)

    async def test_just_in_time(slow):
        await asyncio.sleep(20)

    async def test_late(slow):
        await asyncio.sleep(20.5)

    @pytest.mark.uno_async(timeout=30)
    async def test_late_fixture(slow): ...

    @pytest.mark.uno_async(timeout=0)
    async def test_any_time(slow):
        await asyncio.sleep(1_000_000)

    @pytest.mark.uno_async(clock="real", timeout=0.02)
    async def test_real():
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(0)
    """,
        "-W",
        "error",
    )
    assert project.outcomes(result) == {"passed": 2, "failed": 2, "errors": 1}
    result.stdout.fnmatch_lines(["E*ClockTimeoutError: not finished after 30 s of virtual time*"])
    result.stdout.fnmatch_lines(
        [
            ">*await asyncio.sleep(20.5)",
            "E*ClockTimeoutError: not finished after 60 s of virtual time*",
            "E*test_late* waits for asyncio.sleep*",
            "E*uno_async(timeout=...)*",
            "E*#clock-timeout",
        ]
    )
    result.stdout.fnmatch_lines(
        [">*await asyncio.sleep(600)", "E*ClockTimeoutError: not finished after 0.02 s of real time*"]
    )


def test_timeout_of_the_run_and_its_flag(project: Any) -> None:
    project.ini("uno_timeout = 60")
    source = """
    @pytest.mark.uno_async
    async def test_it():
        await asyncio.sleep(61)

    @pytest.mark.uno_async(timeout=100)
    async def test_longer():
        await asyncio.sleep(61)
    """
    assert project.outcomes(project.run(source)) == {"passed": 1, "failed": 1}
    assert project.outcomes(project.run(source, "--uno-timeout=62")) == {"passed": 2}
    assert project.outcomes(project.run(source, "--uno-timeout=50")) == {"failed": 2}


def test_xfail_reruns_and_exitfirst_see_an_ordinary_failure(all_plugins: None, project: Any) -> None:
    pytest.importorskip("pytest_rerunfailures")
    source = """
    from pytest_uno import DeadlockError, ClockTimeoutError
    pytestmark = pytest.mark.uno_async
    tries = []

    @pytest.mark.xfail(raises=DeadlockError, strict=True)
    async def test_expected():
        await asyncio.Event().wait()

    @pytest.mark.xfail(raises=ClockTimeoutError, strict=True)
    @pytest.mark.uno_async(timeout=5)
    async def test_expected_timeout():
        await asyncio.sleep(6)

    async def test_flaky():
        tries.append(1)
        if len(tries) < 3:
            await asyncio.Event().wait()

    async def test_stuck():
        await asyncio.Event().wait()

    async def test_last(): ...
    """
    result = project.run(source, "--reruns=2")
    assert project.outcomes(result) == {"xfailed": 2, "passed": 2, "rerun": 4, "failed": 1}
    assert project.outcomes(project.run(source, "-x")) == {"xfailed": 2, "failed": 1}


def test_workers_report_the_same(project: Any) -> None:
    pytest.importorskip("xdist")
    result = project.run_apart(
        """
    pytestmark = pytest.mark.uno_async

    async def test_stuck():
        await asyncio.Event().wait()

    async def test_hour(uno_clock):
        await asyncio.sleep(3600)
        assert uno_clock.elapsed == 3600
    """,
        "-n",
        "2",
    )
    assert project.outcomes(result) == {"passed": 1, "failed": 1}
    result.stdout.fnmatch_lines(["E*DeadlockError: deadlock:*", "E*[[]the test] (test_stuck)*"])


def test_a_failure_says_what_held_the_clock(project: Any) -> None:
    result = project.run(
        """
    import time
    pytestmark = pytest.mark.uno_async

    async def test_held():
        await asyncio.to_thread(time.sleep, 0.05)
        await asyncio.sleep(12.5)
        assert False

    async def test_not_held():
        await asyncio.sleep(12.5)
        assert False

    async def test_held_and_passed():
        await asyncio.to_thread(time.sleep, 0.05)
    """
    )
    assert project.outcomes(result) == {"failed": 2, "passed": 1}
    assert len(project.lines_with(result, "Captured uno clock")) == 1
    result.stdout.re_match_lines(
        [
            r"-+ Captured uno clock call -+",
            r"virtual time 12\.5 s, 1 jump; held \d+\.\d\d s for: executor.* \d",
        ]
    )


def test_a_stubborn_task_neither_hangs_the_end_nor_holds_time(project: Any) -> None:
    project.file(
        "conftest.py",
        "import pytest_uno.harness.light_runner as m, pytest_uno.harness.runner as r\n"
        "m.PATIENCE = r.PATIENCE = 0.01\n",
    )
    result = project.run_apart(
        """
    async def stubborn(seconds):
        while True:
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                pass


    @pytest.mark.uno_async
    async def test_polls():
        asyncio.create_task(stubborn(0))
        await asyncio.sleep(0)

    @pytest.mark.uno_async(leaks="off")
    async def test_polls_unjudged():
        asyncio.create_task(stubborn(0))
        await asyncio.sleep(0)

    @pytest.mark.uno_async(leaks="off")
    async def test_sleeps_on():
        asyncio.create_task(stubborn(1))
        await asyncio.sleep(0)

    @pytest.mark.uno_async
    async def test_paused(uno_clock):
        async def pause():
            with uno_clock.paused():
                await stubborn(1)
        asyncio.create_task(pause())
        await asyncio.sleep(0)

    @pytest.mark.uno_async
    async def test_ends_in_a_moment():
        async def end_slowly():
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0.002)
        task = asyncio.create_task(end_slowly())
        await asyncio.sleep(0)
        task.cancel()
    """
    )
    assert project.outcomes(result) == {"failed": 2, "passed": 3}
