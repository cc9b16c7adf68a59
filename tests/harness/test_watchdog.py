"""The real-time watchdog: every kind of hang ends, with a picture, and the next test runs."""

from __future__ import annotations

import signal
from typing import Any

import pytest

HANGS = {
    "await": "await asyncio.Event().wait()",
    "sleep": "import time; time.sleep(60)",
    "busy": """
        n = 0
        while True:
            n += 1""",
    "swallow": """
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass""",
    "group": """
        async def worker(lock):
            async with lock:
                pass
        lock = asyncio.Lock()
        async with lock, asyncio.TaskGroup() as group:
            group.create_task(worker(lock), name="worker")""",
    "held": """
        with asyncio.get_running_loop().clock.hold("the watchdog"):
            await asyncio.Event().wait()""",
}
"""What is not `held` hangs on real time only: virtual time calls it a deadlock at once."""


@pytest.mark.parametrize("kind", HANGS)
def test_a_hung_test_fails_with_the_picture(project: Any, kind: str) -> None:
    result = project.run_apart(
        f"""
    @pytest.mark.uno_async(real_timeout=0.2, clock="{"virtual" if kind == "held" else "real"}")
    async def test_hangs():
        {HANGS[kind]}

    @pytest.mark.uno_async(real_timeout=30)
    async def test_next(): ...
    """
    )
    assert project.outcomes(result) == {"failed": 1, "passed": 1}
    result.stdout.fnmatch_lines(
        [
            "*the test test_hangs was still running after 0.2 s of real time*",
            "*the tasks, and who waits for whom:*",
            "*test_hangs*",
            "*fix: *real_timeout*",
            "*docs: *#hung-test*",
        ]
    )
    assert not project.lines_with(result, "UNO101")
    assert not project.lines_with(result, "direct cause")
    if kind == "group":
        result.stdout.fnmatch_lines(["*worker*"])
    if kind in ("sleep", "busy"):
        result.stdout.fnmatch_lines(["*the main thread:*", "*test_it.py*in test_hangs*"])


def test_a_session_fixture_that_hangs_in_setup(project: Any) -> None:
    # A busy machine needs a while until the loop runs: it must be the fixture that hangs.
    project.ini("uno_real_timeout = 1\nuno_clock = real")
    result = project.run_apart(
        """
    @pytest.fixture(scope="session")
    async def hangs():
        await asyncio.Event().wait()
        yield

    @pytest.fixture
    async def hangs_at_the_end():
        yield
        await asyncio.Event().wait()

    @pytest.mark.uno_async
    async def test_it(hangs): ...

    @pytest.mark.uno_async
    async def test_end(hangs_at_the_end): ...

    @pytest.mark.uno_async
    async def test_next(): ...
    """
    )
    assert project.outcomes(result) == {"errors": 2, "passed": 2}
    result.stdout.fnmatch_lines(["*the set-up of the test test_it was still running after 1 s*"])
    result.stdout.fnmatch_lines(["*the teardown of the test test_end was still running after 1 s*"])


def test_a_marker_does_not_limit_the_setup(project: Any) -> None:
    result = project.run(
        """
    import time

    @pytest.fixture
    def slow():
        time.sleep(0.05)

    @pytest.mark.uno_async(real_timeout=0.01)
    async def test_it(slow): ...
    """
    )
    assert project.outcomes(result) == {"passed": 1}


def test_finally_blocks_run_before_the_failure(project: Any) -> None:
    result = project.run_apart(
        """
    @pytest.mark.uno_async(real_timeout=0.2, clock="real")
    async def test_hangs():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            print("CLEANED UP")
    """,
        "-s",
    )
    assert project.outcomes(result) == {"failed": 1}
    result.stdout.fnmatch_lines(["*CLEANED UP*"])


def test_a_test_in_time_is_left_alone(project: Any) -> None:
    result = project.run(
        """
    import signal

    @pytest.mark.uno_async(real_timeout=60)
    @pytest.mark.parametrize("n", [1, 2])
    async def test_it(n): ...
    """
    )
    assert project.outcomes(result) == {"passed": 2}
    if hasattr(signal, "SIGVTALRM"):
        assert signal.getsignal(signal.SIGVTALRM) is signal.SIG_DFL


def test_a_signal_never_meets_its_default_which_ends_the_process(project: Any) -> None:
    """The watchdog insists after a second, and the test ends just then."""
    project.file(
        "conftest.py",
        """
    import signal, time
    send = signal.pthread_kill

    @pytest.fixture(autouse=True)
    def slow(monkeypatch):
        def kill(thread, number):
            time.sleep(0.3)
            send(thread, number)
        monkeypatch.setattr(signal, "pthread_kill", kill)
        monkeypatch.setattr("pytest_uno.harness.watchdog._STEP", 0.1)
    """,
    )
    result = project.run_apart(
        """
    import time

    @pytest.mark.uno_async(real_timeout=0.05)
    async def test_it():
        time.sleep(0.3)

    @pytest.mark.uno_async
    async def test_next(): ...
    """
    )
    assert project.outcomes(result) == {"failed": 1, "passed": 1}


def test_a_leaked_task_that_ignores_its_cancellation_does_not_hang_the_run(project: Any) -> None:
    project.file(
        "conftest.py",
        "import pytest_uno.harness.light_runner as m, pytest_uno.harness.runner as r\n"
        "m.PATIENCE = r.PATIENCE = 0.01\n",
    )
    source = """
    async def ignore():
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass

    @pytest.mark.uno_async(loop_scope="{scope}")
    async def test_it():
        asyncio.create_task(ignore())
        await asyncio.sleep(0)

    @pytest.mark.uno_async(loop_scope="{scope}")
    async def test_next(): ...
    """
    for scope in ("function", "session"):
        result = project.run_apart(source.replace("{scope}", scope))
        assert project.outcomes(result) == {"failed": 1, "passed": 1}
