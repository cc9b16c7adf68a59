"""Tests marked with `schedules=`, in whole runs."""

from __future__ import annotations

from typing import Any

import pytest

DEPOSITS = """
    class Account:
        def __init__(self):
            self.balance = 0

        async def deposit(self, after):
            await asyncio.sleep(after)
            before = self.balance
            await asyncio.sleep(0.001)
            self.balance = before + 1
"""
LOST = (
    DEPOSITS
    + """
    @pytest.mark.uno_async(schedules=50)
    async def test_deposits():
        account = Account()
        await asyncio.gather(account.deposit(0.001), account.deposit(0.005))
        assert account.balance == 2
"""
)


def test_a_lost_update_is_found_and_explained(project: Any) -> None:
    result = project.run(LOST)
    assert project.outcomes(result) == {"failed": 1}
    result.stdout.fnmatch_lines(
        [
            ">*assert account.balance == 2",
            "*in a legal schedule (*; stock order passes)",
            "*What it takes: 1 delay * class sleep*",
            "*Account.deposit#1 was slow at test_it.py:11 * await asyncio.sleep(0.001) *(sleep)",
            "*Who ran when*",
            "*test_deposits * -> raised AssertionError",
            "*Deterministic: 3 of 3 replays equal.",
            "*Replay: pytest 'test_it.py::test_deposits' --uno-replay=sleep:*",
            "explored: 1 test, * schedules, 1 failure",
        ]
    )


def test_the_token_replays_the_failure_in_one_run(project: Any) -> None:
    (line,) = project.lines_with(project.run(LOST), "Replay: ")
    token = line.partition("--uno-replay=")[2].strip()
    result = project.run_apart(None, f"--uno-replay={token}")
    assert project.outcomes(result) == {"failed": 1}
    assert project.lines_with(result, "explored: 1 test, 1 schedule, 1 failure")
    result = project.run(None, "--uno-replay=stock")
    assert project.outcomes(result) == {"passed": 1}


@pytest.mark.parametrize("option", ["--uno-schedules=0", "--uno-order=stock"])
def test_stock_order_is_an_ordinary_run(project: Any, option: str) -> None:
    result = project.run(LOST, option)
    assert project.outcomes(result) == {"passed": 1}
    assert not project.lines_with(result, "explored:")


def test_the_command_line_says_how_many(project: Any) -> None:
    source = (
        DEPOSITS
        + """
    @pytest.mark.uno_async(schedules=3)
    async def test_sleeps():
        await asyncio.gather(*(asyncio.sleep(0.001 * i) for i in range(6)))

    @pytest.mark.uno_async
    async def test_not_explored(): ...
    """
    )
    for options, number in (((), 3), (("--uno-schedules=7",), 7)):
        result = project.run(source, *options)
        assert project.outcomes(result) == {"passed": 2}
        assert project.lines_with(result, f"explored: 1 test, {number} schedules, 0 failures")


def test_each_schedule_has_the_tests_own_things_anew(project: Any) -> None:
    result = project.run(
        """
    from pytest_uno import get_async_manager

    seen = []

    @pytest.fixture(scope="module")
    def shared():
        return []

    @pytest.fixture
    def basket():
        return []

    @pytest.fixture
    async def loop_of_fixture():
        loop = asyncio.get_running_loop()
        yield loop
        assert asyncio.get_running_loop() is loop
        seen.append("torn down")

    class TestBasket:
        async def setup_method(self):
            self.calls = 0

        @pytest.mark.uno_async(schedules=5)
        async def test_basket(self, shared, basket, loop_of_fixture, uno_manager, uno_clock):
            self.calls += 1
            basket.append(1)
            shared.append(asyncio.get_running_loop())
            assert (self.calls, len(basket)) == (1, 1)
            assert loop_of_fixture is asyncio.get_running_loop() is uno_manager.loop
            assert get_async_manager() is uno_manager
            await asyncio.gather(asyncio.sleep(1), asyncio.sleep(2), asyncio.sleep(3))
            assert uno_clock.elapsed >= 3

    def test_after(shared):
        assert len(shared) == len(seen) == 5
        assert len({id(loop) for loop in shared}) == 5
        assert all(loop.is_closed() for loop in shared)
    """.replace(" is uno_manager.loop", "")
    )
    assert project.outcomes(result) == {"passed": 2, "warnings": 1}
    result.stdout.fnmatch_lines(
        ["*UnoExplorationWarning: function-scoped fixtures are set up again for each schedule: *'basket'*"]
    )
    assert "uno_clock" not in project.lines_with(result, "UnoExplorationWarning")[0]


def test_the_warning_stays_one_where_warnings_are_errors(project: Any) -> None:
    project.ini("filterwarnings = error")
    result = project.run(
        """
    @pytest.fixture
    def basket(): ...

    @pytest.mark.uno_async(schedules=3)
    async def test_basket(basket): ...
    """
    )
    assert project.outcomes(result) == {"passed": 1, "warnings": 1}


def test_a_leak_in_one_schedule_fails_the_test(project: Any) -> None:
    result = project.run(
        """
    @pytest.mark.uno_async(schedules=30)
    async def test_leaks():
        done = asyncio.Event()

        async def stray():
            await asyncio.Event().wait()

        async def first():
            await asyncio.sleep(0.001)
            done.set()

        async def second():
            await asyncio.sleep(0.005)
            if not done.is_set():
                asyncio.create_task(stray(), name="stray")

        await asyncio.gather(first(), second())
    """,
        "--uno-report=json",
    )
    assert project.outcomes(result) == {"failed": 1}
    result.stdout.fnmatch_lines(
        [
            "UNO101 pending-task: task 'stray'*",
            "*What it takes: 1 delay*",
            "FAILED * UNO101 pending-task at *",
        ]
    )
    (leak,) = project.leaks()
    assert (leak["rule"], leak["count"]) == ("UNO101", 1)


def test_a_leak_that_only_warns_does_so_once(project: Any) -> None:
    result = project.run(
        """
    @pytest.mark.uno_async(schedules=5, leaks="warn")
    async def test_leaks():
        await asyncio.gather(asyncio.sleep(1), asyncio.sleep(2), asyncio.sleep(3))
        asyncio.get_running_loop().call_later(60, print)
    """
    )
    assert project.outcomes(result) == {"passed": 1, "warnings": 1}


def test_a_deadlock_in_one_schedule_is_shown(project: Any) -> None:
    result = project.run(
        """
    @pytest.mark.uno_async(schedules=50)
    async def test_transfers():
        a, b = asyncio.Lock(), asyncio.Lock()

        async def move(first, second, after):
            await asyncio.sleep(after)
            async with first:
                await asyncio.sleep(0.001)
                async with second:
                    await asyncio.sleep(0.001)

        await asyncio.gather(move(a, b, 0.001), move(b, a, 0.006))
    """
    )
    assert project.outcomes(result) == {"failed": 1}
    result.stdout.fnmatch_lines(["*DeadlockError*", "*in a legal schedule*"])
    assert not project.lines_with(result, "explored_test.py")
    assert not project.lines_with(result, "UNO101")


def test_a_fixture_that_crashes_meanwhile_is_named(project: Any) -> None:
    result = project.run(
        """
    @pytest.fixture
    async def pump():
        async def fail():
            await asyncio.sleep(1)
            raise LookupError("pump")

        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            yield

    @pytest.mark.uno_async(schedules=5)
    async def test_it(pump):
        await asyncio.sleep(60)
    """
    )
    assert project.outcomes(result) == {"failed": 1, "warnings": 1}
    result.stdout.fnmatch_lines(["*FixtureCrashError: fixture 'pump' crashed while the test was running*"])


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("pytest.skip('not here')", {"skipped": 1}),
        ("pytest.xfail('known')", {"xfailed": 1}),
        ("pytest.fail('always')", {"failed": 1}),
        ("raise LookupError", {"failed": 1}),
    ],
)
def test_outcomes_are_those_of_any_test(project: Any, body: str, outcome: dict[str, int]) -> None:
    result = project.run(
        f"""
    @pytest.mark.uno_async(schedules=10)
    async def test_it():
        {body}
    """
    )
    assert project.outcomes(result) == outcome


def test_what_a_fixture_raises_fails_the_test(project: Any) -> None:
    result = project.run(
        """
    @pytest.fixture
    async def broken():
        raise LookupError("no server")

    @pytest.fixture
    async def broken_later():
        yield
        raise LookupError("no end")

    @pytest.mark.uno_async(schedules=10)
    async def test_set_up(broken): ...

    @pytest.mark.uno_async(schedules=10)
    async def test_teardown(broken_later): ...

    @pytest.mark.uno_async
    async def test_next(): ...
    """
    )
    assert project.outcomes(result) == {"failed": 2, "passed": 1, "warnings": 2}
    result.stdout.fnmatch_lines(["*LookupError: no server*", "*LookupError: no end*"])


def test_the_database_is_fresh_in_each_schedule(project: Any) -> None:
    result = project.run(
        """
    from sqlalchemy import text

    @pytest.mark.uno_async(schedules=8)
    async def test_rows(uno_db):
        async def add():
            async with uno_db.session_factory() as session:
                await session.execute(text("INSERT INTO orders VALUES (1)"))
                await session.commit()

        async with uno_db.engine.begin() as connection:
            await connection.execute(text("CREATE TABLE orders (id INTEGER)"))
        await asyncio.gather(add(), add())
        async with uno_db.engine.connect() as connection:
            assert (await connection.execute(text("SELECT count(*) FROM orders"))).scalar() == 2
        assert len(uno_db.commits) == 3
    """
    )
    assert project.outcomes(result) == {"passed": 1}
    assert project.lines_with(result, "explored: 1 test, ", " 0 failures")


def test_workers_count_too(project: Any, all_plugins: None) -> None:
    result = project.run(LOST, "-n2", "-v")
    assert project.outcomes(result) == {"failed": 1}
    assert project.lines_with(result, "explored: 1 test, ", "1 failure")
    assert project.lines_with(result, "  explored ", "single holds")


def test_progress_is_told_while_it_takes_time(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_uno.harness.explored_test._PROGRESS_EVERY", 0.0)
    result = project.run(LOST, "-v")
    assert project.lines_with(result, "  test_deposits: 1 of 50 schedules, ")


def test_the_time_for_a_search_is_limited(project: Any) -> None:
    result = project.run(LOST.replace("schedules=50", "schedules=50, explore_time=1e-9"))
    assert project.outcomes(result) == {"passed": 1}
    assert project.lines_with(result, "explored: 1 test, 1 schedule, 0 failures")


def test_injections_within_schedules_ask_the_same_policy(project: Any) -> None:
    result = project.run(
        """
    from pytest_uno.explore import assert_cancel_safe

    @pytest.mark.uno_async(schedules=2, allow_leaks="UNO203")
    async def test_it():
        async def operation():
            timer = asyncio.get_running_loop().call_later(60, print)
            await asyncio.sleep(1)
            timer.cancel()

        await assert_cancel_safe(operation)
    """
    )
    assert project.outcomes(result) == {"passed": 1}
