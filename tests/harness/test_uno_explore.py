"""The fixture `uno_explore`, in whole runs."""

from __future__ import annotations

from typing import Any

import pytest

SCENARIOS = """
    def deposits(are_locked):
        async def scenario():
            balance, lock = [0], asyncio.Lock()

            async def add():
                before = balance[0]
                await asyncio.sleep(0.001)
                balance[0] = before + 1

            async def deposit(after):
                await asyncio.sleep(after)
                if are_locked:
                    async with lock:
                        await add()
                else:
                    await add()

            await asyncio.gather(deposit(0.001), deposit(0.005))
            assert balance == [2]

        return scenario
"""


def test_an_async_test_goes_on_afterwards(project: Any) -> None:
    result = project.run(
        SCENARIOS
        + """
    @pytest.mark.uno_async
    async def test_deposits(uno_explore, uno_clock):
        await asyncio.sleep(1)
        me, loop = asyncio.current_task(), asyncio.get_running_loop()
        beside = asyncio.create_task(asyncio.sleep(2))
        report = await uno_explore(deposits(False))
        assert isinstance(report.failure, AssertionError)
        assert (report.found_at, report.token) == (report.runs, report.token)
        assert report.token.startswith("sleep:") and report.holds
        assert "--uno-replay=" + report.token in report.explanation
        report = uno_explore(deposits(True), schedules=30, seed=2, delay=("io",), jitter=3, timeouts=True)
        assert report.failure is report.token is report.found_at is None
        assert asyncio.current_task() is me and asyncio.get_running_loop() is loop
        await beside
        assert uno_clock.elapsed == 3
    """
    )
    assert project.outcomes(result) == {"passed": 1}
    assert project.lines_with(result, "explored: 1 test, ", " schedules, 1 failure")


def test_a_long_search_is_no_blocked_loop(project: Any) -> None:
    result = project.run(
        SCENARIOS
        + """
    @pytest.mark.uno_async
    async def test_deposits(uno_explore):
        report = await uno_explore(deposits(True), schedules=200, delay=())
        assert report.failure is None
    """,
        "--uno-block-ms=20",
        "--uno-leak-level=UNO601=error",
    )
    assert project.outcomes(result) == {"passed": 1}


@pytest.mark.parametrize("marker", ["", "@pytest.mark.asyncio"])
def test_other_tests_may_explore_as_well(project: Any, marker: str) -> None:
    result = project.run(
        SCENARIOS
        + f"""
    {marker}
    {"async " if marker else ""}def test_deposits(uno_explore):
        assert uno_explore(deposits(False)).failure is not None
        assert uno_explore(deposits(True)).failure is None

    @pytest.mark.uno_async
    async def test_ours(): ...
    """
    )
    assert project.outcomes(result) == {"passed": 2}


def test_each_schedule_has_a_manager_and_a_database(project: Any) -> None:
    result = project.run(
        """
    from pytest_uno import get_async_manager, transaction_manager
    from sqlalchemy import text

    @pytest.mark.uno_async
    async def test_orders(uno_explore, uno_db, uno_manager):
        managers = []

        async def scenario():
            managers.append(get_async_manager())
            async with transaction_manager() as session:
                await session.execute(text("CREATE TABLE orders (id INTEGER)"))
            task = get_async_manager().create_task(asyncio.Event().wait())

        report = await uno_explore(scenario, schedules=5)
        assert report.failure is None, report.explanation
        assert uno_manager not in managers and len(set(map(id, managers))) == len(managers)
        assert get_async_manager() is uno_manager
        async with uno_db.engine.begin() as connection:
            await connection.execute(text("CREATE TABLE orders (id INTEGER)"))
        assert len(uno_db.queries) == 1
        with pytest.raises(Exception, match="after the test had used its database"):
            uno_explore(scenario)
    """
    )
    assert project.outcomes(result) == {"passed": 1}


def test_the_command_line_counts(project: Any) -> None:
    source = (
        SCENARIOS
        + """
    @pytest.mark.uno_async
    async def test_deposits(uno_explore):
        report = await uno_explore(deposits(False))
        print("runs", report.runs, report.token)
        assert report.failure is None
    """
    )
    assert project.outcomes(project.run(source, "--uno-schedules=0")) == {"passed": 1}
    (line,) = project.lines_with(project.run(source), "runs ")
    token = line.split()[-1]
    result = project.run(None, f"--uno-replay={token}")
    assert project.outcomes(result) == {"failed": 1}
    assert project.lines_with(result, f"runs 1 {token}")


def test_bad_arguments_are_refused(project: Any) -> None:
    result = project.run(
        """
    def test_refused(uno_explore):
        with pytest.raises(ValueError, match="no class of completions"):
            uno_explore(lambda: asyncio.sleep(1), delay=("disk",))
        with pytest.raises(TypeError, match="returned NoneType, and no coroutine"):
            uno_explore(lambda: None)
    """
    )
    assert project.outcomes(result) == {"passed": 1}


def test_what_is_wrong_with_the_database_fails_a_schedule(project: Any) -> None:
    result = project.run(
        """
    from sqlalchemy import text

    @pytest.mark.uno_async(max_queries=2)
    async def test_orders(uno_explore, uno_db):
        async def scenario():
            async with uno_db.engine.connect() as connection:
                for number in range(3):
                    await connection.execute(text("SELECT 1"))

        report = await uno_explore(scenario, schedules=2)
        assert "3 statements" in str(report.failure), report.failure
    """
    )
    assert project.outcomes(result) == {"passed": 1}
