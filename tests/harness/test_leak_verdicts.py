"""Which test pays for a leak, in whole runs."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("collected")

PRELUDE = """
    import contextvars
    import warnings
    KEPT = []
    async def z(): pass
    uno = pytest.mark.uno_async
    @uno
    async def test_first(): pass
"""

UNJUDGED = {
    "a sync test": "def test_keeps(): KEPT.append(z())",
    "an asyncio test": """@pytest.mark.asyncio
    async def test_keeps():
        future = asyncio.get_running_loop().create_future()
        future.set_exception(ValueError("x"))
        KEPT.append(future)""",
    "a test with leaks off": """@uno(leaks="off")
    async def test_keeps(): KEPT.append(z())""",
}


@pytest.mark.parametrize("source", UNJUDGED.values(), ids=UNJUDGED.keys())
def test_an_innocent_test_does_not_pay_for_what_an_unjudged_one_keeps(project: Any, source: str) -> None:
    result = project.run(
        f"""{PRELUDE}
    {source}
    @uno
    async def test_innocent(): pass
    """,
        "-p",
        "no:unraisableexception",
    )
    assert project.outcomes(result) == {"passed": 3}


@pytest.mark.parametrize(
    "source", ["def", "@pytest.mark.asyncio\n    async def", "@uno(leaks='off')\n    async def"]
)
def test_an_innocent_test_does_not_pay_for_what_an_unjudged_one_has_dropped(
    project: Any, source: str
) -> None:
    # In a process of its own: what earlier runs in this one have kept would go with the collection, too.
    result = project.run_apart(
        f"""{PRELUDE}
    import gc
    {source} test_drops():
        cycle = [z()]
        cycle.append(cycle)
    @uno
    async def test_innocent(): gc.collect()
    """,
        "-Wdefault",
    )
    assert project.outcomes(result) == {"passed": 3, "warnings": 1}
    result.stdout.fnmatch_lines(["*RuntimeWarning: coroutine *z* was never awaited*"])


def test_a_function_of_a_wider_fixture_may_keep_tasks_in_its_closure(project: Any) -> None:
    result = project.run(
        f"""{PRELUDE}
    @pytest.fixture(scope="module")
    async def spawn():
        tasks = []
        def spawn_one(coro):
            tasks.append(asyncio.create_task(coro))
        yield spawn_one
        for task in tasks: task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    @uno
    async def test_spawns(spawn): spawn(asyncio.sleep(100))
    @uno
    async def test_next(spawn): pass
    """
    )
    assert project.outcomes(result) == {"passed": 3}


def test_a_warning_that_the_test_looks_at_is_no_leak(project: Any) -> None:
    result = project.run(
        f"""{PRELUDE}
    @uno
    async def test_looks(recwarn):
        z()
        assert len(recwarn) == 1
    @uno
    async def test_keeps():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            z()
        KEPT.append(caught)
    @uno
    async def test_next(): pass
    """
    )
    assert project.outcomes(result) == {"passed": 4}


def test_a_leaked_task_that_holds_a_coroutine_is_one_leak(project: Any) -> None:
    result = project.run(
        f"""{PRELUDE}
    @uno
    async def test_leaks():
        coro = z()
        async def waits(coro):
            await asyncio.sleep(100)
            await coro
        asyncio.create_task(waits(coro))
        await asyncio.sleep(0)
    @uno
    async def test_next(): pass
    """
    )
    assert project.outcomes(result) == {"passed": 2, "failed": 1}
    result.stdout.no_fnmatch_line("*UNO201*")


def test_a_task_of_an_empty_context_on_a_wide_loop_is_its_tests(project: Any) -> None:
    result = project.run(
        f"""{PRELUDE}
    @uno(loop_scope="module")
    async def test_leaks():
        asyncio.create_task(asyncio.sleep(100), context=contextvars.Context())
        await asyncio.sleep(0)
    @uno(loop_scope="module")
    async def test_next(): pass
    """,
        "-rf",
    )
    assert project.outcomes(result) == {"passed": 2, "failed": 1}
    assert project.lines_with(result, "FAILED", "test_leaks")


def test_a_warning_of_a_plain_test_names_the_line_that_dropped_the_coroutine(project: Any) -> None:
    result = project.run_apart(
        f"""{PRELUDE}
    def test_plain():
        z()  # here
    """,
    )
    assert project.outcomes(result) == {"passed": 2, "warnings": 1}
    source = project.pytester.path.joinpath("test_it.py").read_text("utf-8").splitlines()
    line = next(number for number, text in enumerate(source, 1) if "# here" in text)
    assert project.lines_with(result, f"test_it.py:{line}: RuntimeWarning: coroutine 'z' was never awaited")


def test_a_future_is_named_by_the_line_that_gave_it_its_exception(project: Any) -> None:
    source = """
    KEPT = []

    class TestFutures:
        @pytest.mark.uno_async
        @pytest.mark.parametrize("is_kept", [True, False])
        async def test_future(self, is_kept):
            future = asyncio.get_running_loop().create_future()
            KEPT.extend([future] * is_kept)
            future.set_exception(LookupError("lost"))
    """
    result = project.run(source, "--uno-report=json:leaks.json")
    assert project.outcomes(result) == {"failed": 2}
    (leak,) = project.leaks()
    (frame,) = leak["created"]
    assert (frame["function"], frame["code"]) == (
        "TestFutures.test_future",
        'future.set_exception(LookupError("lost"))',
    )
