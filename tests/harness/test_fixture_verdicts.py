"""What fixtures leave is theirs: an error under their name, and no failure of a test."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("collected")


def test_a_fixture_leak_at_level_warn(project: Any) -> None:
    result = project.run(
        """
    @pytest.fixture(scope="module")
    async def wide():
        asyncio.create_task(asyncio.Event().wait(), name="left")

    @pytest.mark.uno_async
    async def test_it(wide): ...
    """,
        "--uno-leaks=warn",
    )
    assert project.outcomes(result) == {"passed": 1, "warnings": 1}
    result.stdout.fnmatch_lines(["*UnoLeakWarning: UNO101*", "*fixture 'wide' (module, test_it.py:*"])


def test_a_resource_that_a_manager_enters_is_no_leak(project: Any) -> None:
    result = project.run(
        """
    from pytest_uno import AsyncResource

    @pytest.mark.uno_async
    async def test_it(uno_manager):
        await uno_manager.enter_resource(AsyncResource("pool"))

    @pytest.fixture(scope="session")
    async def wide():
        yield [object()]

    @pytest.mark.uno_async
    async def test_dropped_beside_a_wide_fixture(wide):
        await AsyncResource("pool").__aenter__()
    """
    )
    assert project.outcomes(result) == {"passed": 1, "failed": 1}


def test_a_task_that_a_fixture_ends_is_no_leak(project: Any) -> None:
    result = project.run(
        """
    tasks = []

    @pytest.fixture
    async def reaper():
        yield
        for task in tasks:
            task.cancel()

    @pytest.mark.uno_async
    async def test_it(reaper):
        tasks.append(asyncio.create_task(asyncio.sleep(60)))
    """
    )
    assert project.outcomes(result) == {"passed": 1}


@pytest.mark.parametrize("scope", ["function", "class", "module", "package", "session"])
def test_a_fixture_that_leaks_is_named_at_teardown(project: Any, scope: str) -> None:
    result = project.run(
        f"""
    @pytest.fixture(scope="{scope}")
    async def worker():
        yield asyncio.create_task(asyncio.Event().wait(), name="left")

    @pytest.mark.uno_async
    async def test_first(worker): ...

    @pytest.mark.uno_async
    async def test_it(worker): ...
    """,
        "--uno-report=json:leaks.json",
    )
    assert project.outcomes(result) == (
        {"passed": 2, "errors": 2} if scope == "function" else {"passed": 2, "errors": 1}
    )
    result.stdout.fnmatch_lines(
        ["*ERROR at teardown of test_it*", "*UNO101*'left'*", f"*fixture 'worker' ({scope}, test_it.py:*"]
    )
    (found,) = project.leaks()
    assert found["rule"] == "UNO101"


def test_a_coroutine_dropped_in_a_fixture_is_the_fixtures(project: Any) -> None:
    result = project.run(
        """
    async def work(): ...

    @pytest.fixture
    async def in_setup():
        work()

    @pytest.fixture
    async def in_teardown():
        yield
        work()

    @pytest.fixture(scope="module")
    def wide_and_sync():
        work()
        yield
        work()

    @pytest.mark.uno_async
    async def test_setup(in_setup): ...

    @pytest.mark.uno_async
    async def test_teardown(in_teardown): ...

    @pytest.mark.uno_async
    async def test_wide(wide_and_sync): ...
    """,
        "-W",
        "error",
    )
    assert project.outcomes(result) == {"passed": 3, "errors": 3}
    for name in ("in_setup", "in_teardown", "wide_and_sync"):
        assert project.lines_with(result, f"fixture '{name}'"), name


def test_a_session_service_may_start_tasks_while_a_test_runs(project: Any) -> None:
    result = project.run(
        """
    class Hub:
        def __init__(self):
            self.queue, self.kids = asyncio.Queue(), set()
            self.main = asyncio.create_task(self.run())

        async def run(self):
            while True:
                await self.queue.get()
                self.kids.add(asyncio.create_task(asyncio.Event().wait()))

        async def close(self):
            for task in (self.main, *self.kids):
                task.cancel()
            await asyncio.gather(self.main, *self.kids, return_exceptions=True)

    @pytest.fixture(scope="session")
    async def hub():
        hub = Hub()
        yield hub
        await hub.close()

    class Pool:
        def __init__(self):
            self.tasks = []

        def start(self):
            self.tasks.append(asyncio.create_task(asyncio.Event().wait()))

    @pytest.fixture(scope="session")
    async def pool():
        pool = Pool()
        yield pool
        for task in pool.tasks:
            task.cancel()

    pytestmark = pytest.mark.uno_async

    async def test_hub(hub):
        hub.queue.put_nowait(1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert hub.kids

    async def test_pool(pool):
        pool.start()

    async def test_again(hub, pool):
        hub.queue.put_nowait(1)
    """
    )
    assert project.outcomes(result) == {"passed": 3}


def test_a_wide_fixture_is_blamed_when_it_ends_although_its_loop_goes_on(project: Any) -> None:
    leaky = """
    @pytest.fixture(scope="module")
    async def wide():
        yield asyncio.create_task(asyncio.Event().wait(), name="left")

    @pytest.mark.uno_async
    async def test_leaky(wide): ...
    """
    project.file("test_a.py", leaky)
    project.file(
        "test_b.py",
        """
    @pytest.mark.uno_async(loop_scope="session")
    async def test_next(): ...

    @pytest.mark.uno_async(loop_scope="session")
    async def test_last(): ...
    """,
    )
    result = project.run()
    assert project.outcomes(result) == {"passed": 3, "errors": 1}
    assert not project.lines_with(result, "ERROR at teardown of test_last")
    result.stdout.fnmatch_lines(["*UNO101*'left'*", "*fixture 'wide' (module, test_a.py:*"])
