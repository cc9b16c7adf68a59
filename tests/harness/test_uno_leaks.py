"""The fixture uno_leaks: what a test says about its own leaks, and when that is judged."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("collected")

PRELUDE = """
    pytestmark = pytest.mark.uno_async

    async def wait(): await asyncio.Event().wait()
    def start(): asyncio.create_task(wait(), name="left")
"""


def run(project: Any, source: str, *args: str) -> Any:
    return project.run(PRELUDE + source, "--uno-report=json:leaks.json", *args)


def test_an_expected_leak_is_nothing(project: Any) -> None:
    result = run(
        project,
        """
    async def test_block(uno_leaks):
        with uno_leaks.expect("UNO101", match="left"):
            start()

    async def test_rest(uno_leaks):
        uno_leaks.expect("UNO1xx")
        start()
        await asyncio.sleep(0)

    async def test_around_an_await(uno_leaks):
        async def work():
            start()
            await asyncio.sleep(1)
        with uno_leaks.expect("UNO101"):
            await work()

    async def test_dropped(uno_leaks):
        with uno_leaks.expect("UNO201", match="wait"):
            wait()

    async def test_callback(uno_leaks):
        with uno_leaks.expect("UNO104", match="ZeroDivisionError"):
            asyncio.get_running_loop().call_soon(lambda: 1 / 0)

    @pytest.mark.uno_async(loop_scope="module")
    async def test_on_a_wider_loop(uno_leaks):
        with uno_leaks.expect("UNO101"):
            start()
    """,
        "-W",
        "error",
    )
    assert project.outcomes(result) == {"passed": 6}
    assert project.leaks() == []
    result.stdout.no_fnmatch_line("*leak report*")


def test_what_is_not_expected_fails(project: Any) -> None:
    result = run(
        project,
        """
    async def test_other_rule(uno_leaks):
        with uno_leaks.expect("UNO101"):
            start()
        wait()

    async def test_outside(uno_leaks):
        with uno_leaks.expect("UNO101"):
            start()
        start()
        await asyncio.sleep(0)
    """,
    )
    assert project.outcomes(result) == {"failed": 2}
    assert [(leak["rule"], leak["created"][-1]["function"]) for leak in project.leaks()] == [
        ("UNO101", "test_outside"),
        ("UNO201", "test_other_rule"),
    ]


def test_a_leak_that_was_not_there_is_a_failure(project: Any) -> None:
    result = run(
        project,
        """
    async def test_clean(uno_leaks):
        with uno_leaks.expect("UNO101", match="left"):
            pass

    async def test_two(uno_leaks):
        uno_leaks.expect("UNO203")
        uno_leaks.expect("UNO501")

    async def test_and_another(uno_leaks):
        uno_leaks.expect("UNO203")
        start()
        await asyncio.sleep(0)

    async def test_and_its_manager(uno_leaks, uno_manager):
        def close(): raise ValueError("close failed")
        await uno_manager.register_resource(object(), close=close)
        uno_leaks.expect("UNO203")

    @pytest.mark.xfail(strict=True)
    async def test_known(uno_leaks):
        uno_leaks.expect("UNO203")

    @pytest.mark.uno_async(leaks="warn")
    async def test_also_where_leaks_only_warn(uno_leaks):
        uno_leaks.expect("UNO203")
    """,
        "-rf",
    )
    assert project.outcomes(result) == {"failed": 5, "xfailed": 1}
    result.stdout.fnmatch_lines(
        [
            "*_ test_clean _*",
            "*test_it.py:*: a leak UNO101 that matches 'left' was expected, and there was none",
            "*_ test_two _*",
            "*a leak UNO203 was expected*",
            "*a leak UNO501 was expected*",
            "*_ test_and_another _*",
            "*a leak UNO203 was expected*",
            "*UNO101 pending-task: task 'left'*",
            "*_ test_and_its_manager _*",
            "*a leak UNO203 was expected*",
            "*close failed*",
            "FAILED *::test_clean - MissingLeakError: *",
        ]
    )
    assert [leak["rule"] for leak in project.leaks()] == ["UNO101"]


def test_who_fails_or_is_not_looked_at_misses_nothing(project: Any) -> None:
    result = run(
        project,
        """
    async def test_fails(uno_leaks):
        uno_leaks.expect("UNO203")
        assert False, "the test itself"

    async def test_skips(uno_leaks):
        uno_leaks.expect("UNO203")
        pytest.skip("not here")

    @pytest.mark.uno_async(leaks="off")
    async def test_off(uno_leaks):
        uno_leaks.expect("UNO203")

    @pytest.mark.uno_async(timeout=5)
    async def test_too_slow(uno_leaks):
        with uno_leaks.expect("UNO203"):
            await asyncio.sleep(6)

    async def test_fails_and_leaks_as_expected(uno_leaks):
        with uno_leaks.expect("UNO101"):
            start()
        assert False
    """,
    )
    assert project.outcomes(result) == {"failed": 3, "skipped": 1, "passed": 1}
    text = result.stdout.str()
    assert "was expected" not in text
    assert "pending-task" not in text


def test_a_leak_is_expected_at_any_level(project: Any) -> None:
    result = run(
        project,
        """
    @pytest.mark.uno_async(leaks={"UNO101": "warn", "UNO201": "off"})
    async def test_it(uno_leaks):
        with uno_leaks.expect("UNO101"):
            start()
        with uno_leaks.expect("UNO201"):
            wait()
    """,
    )
    assert project.outcomes(result) == {"passed": 1}


def test_expectations_in_fixtures(project: Any) -> None:
    result = run(
        project,
        """
    @pytest.fixture
    async def around(uno_leaks):
        with uno_leaks.expect("UNO101", match="left"):
            yield

    @pytest.fixture
    def around_in_sync(uno_leaks):
        with uno_leaks.expect("UNO101", match="left"):
            yield

    @pytest.fixture
    async def leaks_itself(uno_leaks):
        with uno_leaks.expect("UNO101", match="left"):
            start()

    @pytest.fixture
    async def leaks_later(uno_leaks):
        with uno_leaks.expect("UNO101", match="left"):
            yield
        start()
        await asyncio.sleep(0)

    async def test_async(around): start()
    async def test_sync(around_in_sync): start()
    async def test_fixture(leaks_itself): ...
    async def test_later(leaks_later): ...
    """,
        "-rE",
    )
    assert project.outcomes(result) == {"passed": 3, "failed": 1, "errors": 1}
    result.stdout.fnmatch_lines(["*it was made outside of the block*", "ERROR *::test_later - UNO101 *"])


def test_findings_before_and_after(project: Any) -> None:
    result = run(
        project,
        """
    KEPT = []

    async def test_it(uno_leaks):
        KEPT.append(uno_leaks)
        uno_leaks.expect("UNO1xx")
        uno_leaks.expect("UNO201")
        assert uno_leaks.findings == ()
        wait()
        start()
        (finding,) = uno_leaks.findings
        assert (finding.rule, finding.owner.name) == ("UNO201", "test_it")
        assert finding.created[0].code == "wait()"

    async def test_next():
        assert [finding.rule for finding in KEPT[0].findings] == ["UNO101", "UNO201"]

    async def test_fixture_of_the_next(uno_leaks):
        assert uno_leaks.findings == ()
        assert uno_leaks is not KEPT[0]
    """,
    )
    assert project.outcomes(result) == {"passed": 3}


IGNORING = {
    "task": 'uno_leaks.ignore(asyncio.create_task(wait(), name="left"))',
    "kept task": 'KEPT.append(asyncio.create_task(wait(), name="left")); uno_leaks.ignore(KEPT[-1])',
    "failed task": "uno_leaks.ignore(asyncio.create_task(fail())); await asyncio.sleep(0)",
    "coroutine": "uno_leaks.ignore(wait())",
    "timer": "uno_leaks.ignore(asyncio.get_running_loop().call_later(60, print))",
    "generator": "g = count(); await anext(g); uno_leaks.ignore(g); del g",
    "loop": "uno_leaks.ignore(new_loop())",
}


@pytest.mark.parametrize("scope", ["function", "module"])
def test_ignored_objects_are_nothing_then_and_later(project: Any, scope: str) -> None:
    tests = "".join(
        f"""
    async def test_{index}(uno_leaks):
        {text}
    """
        for index, text in enumerate(IGNORING.values())
    )
    project.file(
        "test_it.py",
        PRELUDE.replace("uno_async", f"uno_async(loop_scope={scope!r})")
        + f"""
    import gc

    KEPT = []
    async def fail(): raise ValueError("lost")
    async def count():
        try:
            yield 1
            yield 2
        finally:
            pass
    def new_loop():
        loop = asyncio.new_event_loop()
        KEPT.append(loop)
        return loop
    {tests}
    async def test_after():
        KEPT.pop().close()
        KEPT.clear()
        gc.collect()

    async def test_others_are_reported():
        start()
        await asyncio.sleep(0)
    """,
    )
    result = project.run_apart(None, "--uno-report=json:leaks.json", "-W", "error", "-rf")
    assert project.outcomes(result) == {"passed": len(IGNORING) + 1, "failed": 1}
    assert [leak["seen"][0]["test"] for leak in project.leaks()] == ["test_it.py::test_others_are_reported"]
    assert "never" not in result.stderr.str() + result.stdout.str().replace("never-awaited", "")


@pytest.mark.parametrize("rule", ["UNO1O1", "UNO777"])
def test_unknown_rule(project: Any, rule: str) -> None:
    result = run(
        project,
        f"""
    async def test_it(uno_leaks):
        uno_leaks.expect({rule!r})
    """,
    )
    assert project.outcomes(result) == {"failed": 1}
    result.stdout.fnmatch_lines(
        [f"*ValueError: uno_leaks.expect('{rule}'): no such rule", "*fix: unknown rule*"]
    )


def test_outside_of_a_uno_test(project: Any) -> None:
    result = project.run("def test_it(uno_leaks): ...")
    assert project.outcomes(result) == {"errors": 1}
    result.stdout.fnmatch_lines(["*the fixture uno_leaks needs a uno_async test*"])
