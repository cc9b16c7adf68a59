"""Async generator fixtures that end in unusual ways."""

from __future__ import annotations

from typing import Any

import pytest


def test_a_fixture_cancelled_from_outside_may_end_quietly(project: Any) -> None:
    result = project.run(
        """
    @pytest.fixture
    async def host():
        try:
            yield asyncio.current_task()
        except asyncio.CancelledError:
            print("THE FIXTURE SAW IT")

    @pytest.mark.uno_async
    async def test_it(host):
        host.cancel()
        await asyncio.wait([host])
        assert host.cancelled()
        print("THE TEST WENT ON")

    @pytest.mark.uno_async
    async def test_next(host): ...
    """,
        "-s",
    )
    assert project.outcomes(result) == {"passed": 2}
    result.stdout.fnmatch_lines(["*THE FIXTURE SAW IT*", "*THE TEST WENT ON*"])


def test_a_fixture_that_yields_again_when_it_is_cancelled_crashes(project: Any) -> None:
    result = project.run(
        """
    @pytest.fixture
    async def host():
        try:
            yield asyncio.current_task()
        except asyncio.CancelledError:
            yield "again"

    @pytest.mark.uno_async
    async def test_it(host):
        host.cancel()
        await asyncio.Event().wait()
    """
    )
    assert project.outcomes(result) == {"failed": 1}
    result.stdout.fnmatch_lines(
        ["*FixtureCrashError: fixture 'host' crashed while the test was running: *yielded more than once*"]
    )


def test_a_crash_stops_the_test_and_no_other_fixture(project: Any) -> None:
    result = project.run(
        """
    @pytest.fixture
    async def survivor():
        worker = asyncio.create_task(asyncio.Event().wait())
        try:
            yield
        finally:
            print("WORKER", "cancelled" if worker.done() else "alive")
            worker.cancel()
            await asyncio.wait([worker])

    @pytest.fixture
    async def crashes(survivor):
        async with asyncio.timeout(0):
            yield

    @pytest.mark.uno_async
    async def test_it(crashes):
        await asyncio.Event().wait()
    """,
        "-s",
    )
    assert project.outcomes(result) == {"failed": 1}
    result.stdout.fnmatch_lines(["*WORKER alive*"])
    result.stdout.fnmatch_lines(["*FixtureCrashError: fixture 'crashes' crashed while *: Timeout*"])


def test_a_loop_that_is_closed_first_leaves_the_fixture_behind(project: Any) -> None:
    result = project.run(
        """
    @pytest.fixture
    async def open_at_the_end():
        yield
        print("NEVER")

    @pytest.fixture
    def closer(open_at_the_end):
        yield
        asyncio.get_event_loop_policy().get_event_loop().close()

    @pytest.mark.uno_async
    async def test_it(closer): ...

    @pytest.mark.uno_async
    async def test_next(): ...
    """,
        "-s",
        "-p",
        "no:unraisableexception",
        "-W",
        "ignore::DeprecationWarning",
    )
    assert project.outcomes(result) == {"failed": 1, "passed": 1}
    result.stdout.fnmatch_lines(["*UNO901*the event loop was closed before the test was over*"])
    assert "NEVER" not in result.stdout.str()


def test_a_method_of_a_builtin_type_is_a_fixture_like_others(project: Any) -> None:
    result = project.run(
        """
    settings = ["value"]
    copied = pytest.fixture(name="copied")(settings.copy)

    @pytest.mark.uno_async
    async def test_it(copied):
        assert copied == settings
        assert copied is not settings
    """
    )
    assert project.outcomes(result) == {"passed": 1}


def test_pytest_exit_tears_down_and_blames_nothing(project: Any) -> None:
    result = project.run(
        """
    @pytest.fixture(scope="session")
    async def wide():
        asyncio.create_task(asyncio.Event().wait(), name="left by wide")
        yield
        print("WIDE TORN DOWN")

    @pytest.fixture
    async def narrow(request):
        asyncio.create_task(asyncio.Event().wait(), name="left by narrow")
        yield
        print("NARROW TORN DOWN")

    @pytest.mark.uno_async
    async def test_it(wide, narrow):
        pytest.exit("enough", returncode=7)

    @pytest.mark.uno_async
    async def test_never(): ...
    """,
        "-s",
    )
    assert result.ret == 7
    result.stdout.fnmatch_lines(["*NARROW TORN DOWN*", "*WIDE TORN DOWN*", "*Exit: enough*"])
    assert not project.lines_with(result, "UNO101")
    assert "INTERNALERROR" not in result.stdout.str()


def test_an_interrupted_teardown_blames_nothing(project: Any) -> None:
    result = project.run_apart(
        """
    @pytest.fixture
    async def outer():
        yield
        print("TORN DOWN")

    @pytest.fixture
    def interrupted(outer):
        yield
        raise KeyboardInterrupt

    @pytest.mark.uno_async
    async def test_it(interrupted):
        asyncio.create_task(asyncio.Event().wait(), name="left")
    """,
        "-s",
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*TORN DOWN*", "*KeyboardInterrupt*"])
    output = result.stdout.str() + result.stderr.str()
    assert "INTERNALERROR" not in output
    assert "LeakError" not in output


def test_with_the_detectors_off_a_wide_loop_ends_as_it_is(project: Any) -> None:
    source = """
    @pytest.fixture(scope="session")
    async def wide():
        asyncio.create_task(asyncio.Event().wait(), name="left by wide")
        yield
        print("WIDE TORN DOWN")

    @pytest.mark.uno_async
    async def test_it(wide): ...
    """
    result = project.run(source, "-s", "--uno-leaks=off")
    assert project.outcomes(result) == {"passed": 1}
    result.stdout.fnmatch_lines(["*WIDE TORN DOWN*"])
    result = project.run(source, "-s", "--uno-leaks=error")
    assert project.outcomes(result) == {"passed": 1, "errors": 1}


def test_a_cancellation_of_the_tests_own_making_stays_one(project: Any) -> None:
    result = project.run(
        """
    @pytest.mark.uno_async
    async def test_it():
        asyncio.current_task().cancel("by myself")
        await asyncio.sleep(0)
    """
    )
    assert project.outcomes(result) == {"failed": 1}
    result.stdout.fnmatch_lines(["*CancelledError: by myself*"])
    assert not project.lines_with(result, "FixtureCrashError")


def test_a_set_up_that_swallows_the_cancellation_of_its_timeout_is_late_all_the_same(project: Any) -> None:
    result = project.run(
        """
    @pytest.fixture
    async def stubborn():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            print("SWALLOWED")
        yield
        print("TORN DOWN")

    @pytest.mark.uno_async(timeout=5)
    async def test_it(stubborn): ...
    """
    )
    assert project.outcomes(result) == {"errors": 1}
    result.stdout.fnmatch_lines(["*ClockTimeoutError*", "*SWALLOWED*", "*TORN DOWN*"])
