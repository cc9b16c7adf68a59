"""What comes up after its test has ended is still that test's, or nobody's."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("collected")


def test_a_test_that_leaks_into_a_wide_loop_fails_alone(project: Any) -> None:
    result = project.run(
        """
    pytestmark = pytest.mark.uno_async(loop_scope="module")

    async def test_leaks():
        asyncio.create_task(asyncio.Event().wait(), name="left")

    async def test_clean():
        names = [task.get_name() for task in asyncio.all_tasks()]
        assert "left" not in names
    """
    )
    assert project.outcomes(result) == {"failed": 1, "passed": 1}


def test_a_late_leak_of_an_earlier_test_is_that_tests(project: Any) -> None:
    result = project.run(
        """
    pytestmark = pytest.mark.uno_async(loop_scope="module")
    go = []

    async def test_arms_a_callback():
        def spawn():
            asyncio.create_task(asyncio.Event().wait(), name="late")
        go.append(asyncio.Future())
        go[0].add_done_callback(lambda _: spawn())

    async def test_innocent():
        go[0].set_result(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def test_last(): ...
    """
    )
    assert project.outcomes(result) == {"passed": 3, "errors": 1}
    result.stdout.fnmatch_lines(
        ["*ERROR at teardown of test_innocent*", "*UNO101*'late'*", "*owner *test test_arms_a_callback*"]
    )


def test_what_unjudged_tests_leave_is_nobody_elses(project: Any) -> None:
    project.ini("uno_block_ms = 0")  # a collection may take its time
    result = project.run(
        """
    import gc, warnings
    kept = []

    async def work(): ...

    async def boom():
        raise ValueError("lost")

    @pytest.fixture
    def dropper():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            work()

    @pytest.mark.uno_async
    async def test_before(): ...

    @pytest.mark.uno_async(leaks="off")
    async def test_off(dropper):
        kept.append(work())
        kept.append(asyncio.create_task(boom()))
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            work()
        assert "never awaited" in str(seen[0].message)

    @pytest.mark.asyncio
    async def test_asyncio(dropper):
        kept.append(work())
        kept.append(asyncio.create_task(boom()))

    def test_sync(dropper):
        kept.append(work())

    @pytest.mark.uno_async
    async def test_after():
        gc.collect()

    def test_clean_up():
        for thing in kept:
            if asyncio.iscoroutine(thing):
                thing.close()
            else:
                thing.cancel() or thing.exception()
    """
    )
    assert project.outcomes(result) == {"passed": 6}
