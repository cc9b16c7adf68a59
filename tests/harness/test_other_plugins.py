"""Beside other plugins: leaks survive the way through workers and reruns, others' tests are left alone."""

from __future__ import annotations

import sys
from typing import Any

import pytest

LEAKS = """
    @pytest.mark.uno_async
    async def test_leaks():
        asyncio.create_task(asyncio.Event().wait(), name="left")
        await asyncio.sleep(0)
"""
CLEAN = """
    @pytest.mark.uno_async
    async def test_clean():
        await asyncio.sleep(0)
"""
LEAKS_TWICE = """
    tries = []

    @pytest.mark.uno_async
    async def test_leaks_twice():
        tries.append(1)
        if len(tries) <= 2:
            asyncio.create_task(asyncio.Event().wait(), name="left")
            await asyncio.sleep(0)
"""


# -- pytest-xdist


@pytest.mark.parametrize("distribution", ["load", "loadscope"])
def test_leaks_reach_the_controller_of_xdist(project: Any, distribution: str) -> None:
    pytest.importorskip("xdist")
    project.file("test_one.py", LEAKS + CLEAN)
    project.file(
        "test_two.py",
        """
    @pytest.fixture
    async def server():
        asyncio.create_task(asyncio.Event().wait(), name="listener")
        await asyncio.sleep(0)
        yield

    @pytest.fixture(scope="module")
    async def database():
        asyncio.create_task(asyncio.Event().wait(), name="pool")
        await asyncio.sleep(0)
        yield

    @pytest.mark.uno_async
    async def test_server(server): ...

    @pytest.mark.uno_async
    async def test_database(database): ...
    """,
    )
    arguments = ["-n2", "--dist", distribution, "--uno-report=json:leaks.json", "-p", "no:randomly"]
    result = project.run_apart(None, *arguments)
    assert project.outcomes(result) == {"failed": 1, "passed": 3, "errors": 2}
    assert len(project.lines_with(result, "= leak report =")) == 1
    leaks = {leak["subject"].split("'")[1]: leak for leak in project.leaks()}
    assert set(leaks) == {"left", "listener", "pool"}
    for leak in leaks.values():
        assert [entry["worker"] in ("gw0", "gw1") for entry in leak["seen"]] == [True]
        assert leak["status"] == "new"
    assert leaks["left"]["seen"][0]["test"] == "test_one.py::test_leaks"
    for fixture in ("'server' (function, test_two.py:4)", "'database' (module, test_two.py:10)"):
        assert len(project.lines_with(result, f"owner       fixture {fixture}")) == 1
    result.stdout.fnmatch_lines(["*leak report*", "3 distinct leaks, seen in 3 of 4 tests"])


def test_one_leak_on_two_workers_is_one_group(project: Any) -> None:
    pytest.importorskip("xdist")
    source = """
    @pytest.mark.uno_async
    @pytest.mark.parametrize("number", range(6))
    async def test_leaks(number):
        asyncio.create_task(asyncio.Event().wait(), name="left")
        await asyncio.sleep(0)
    """
    result = project.run_apart(source, "-n2", "--dist=each", "--uno-report=json:leaks.json")
    assert project.outcomes(result) == {"failed": 12}
    (leak,) = project.leaks()
    assert len(leak["seen"]) == 12
    assert {entry["worker"] for entry in leak["seen"]} == {"gw0", "gw1"}


def test_a_clean_xdist_run_counts_its_tests(project: Any) -> None:
    pytest.importorskip("xdist")
    result = project.run_apart(CLEAN, "-n2", "-v")
    assert project.outcomes(result) == {"passed": 1}
    assert len(project.lines_with(result, "leaks: none in 1 test")) == 1


# -- pytest-rerunfailures


def test_a_test_that_leaks_twice_passes_on_its_third_run(project: Any) -> None:
    pytest.importorskip("pytest_rerunfailures")
    result = project.run_apart(LEAKS_TWICE, "--reruns=3", "--uno-report=json:leaks.json")
    assert project.outcomes(result) == {"passed": 1, "rerun": 2}
    assert [leak for leak in project.leaks() if leak["status"] == "new"] == []
    assert result.ret == 0


def test_a_test_that_always_leaks_fails_once(project: Any) -> None:
    pytest.importorskip("pytest_rerunfailures")
    result = project.run_apart(LEAKS, "--reruns=2", "--uno-report=json:leaks.json")
    assert project.outcomes(result) == {"failed": 1, "rerun": 2}
    (leak,) = project.leaks()
    assert len(leak["seen"]) == 1
    assert result.ret == 1


def test_a_test_that_is_explored_is_explored_anew(project: Any) -> None:
    pytest.importorskip("pytest_rerunfailures")
    source = """
    ATTEMPTS = []

    @pytest.fixture(autouse=True)
    def attempt(request):
        ATTEMPTS.append(request.node.execution_count)

    @pytest.mark.uno_async(schedules=3)
    async def test_it():
        await asyncio.sleep(1)
        assert ATTEMPTS[-1] == 2
    """
    result = project.run_apart(source, "--reruns=2", "-v")
    assert project.outcomes(result) == {
        "passed": 1,
        "rerun": 1,
        "warnings": 2,
    }  # each attempt warns of the fixture
    assert project.lines_with(result, "explored: 1 test", "0 failures")


def test_reruns_on_workers(project: Any) -> None:
    pytest.importorskip("pytest_rerunfailures")
    pytest.importorskip("xdist")
    result = project.run_apart(LEAKS_TWICE + LEAKS, "--reruns=2", "-n2", "--uno-report=json:leaks.json")
    assert project.outcomes(result) == {"passed": 1, "failed": 1, "rerun": 4}
    (leak,) = project.leaks()
    assert [entry["test"] for entry in leak["seen"]] == ["test_it.py::test_leaks"]


# -- pytest-timeout, pytest-randomly, pytest-cov


def test_pytest_timeout_stops_a_blocked_test_and_the_next_one_runs(project: Any) -> None:
    pytest.importorskip("pytest_timeout")
    if sys.platform == "win32":
        pytest.skip("the thread method ends the process")
    source = """
    @pytest.mark.uno_async
    @pytest.mark.timeout(0.2, method="signal")
    async def test_busy():
        while True:
            pass
    """
    result = project.run_apart(source + CLEAN + LEAKS, "-p", "no:randomly")
    assert project.outcomes(result) == {"failed": 2, "passed": 1}
    result.stdout.fnmatch_lines(["*Failed: Timeout *0.2*", "FAILED *test_busy*", "FAILED *test_leaks*"])


def test_pytest_timeout_beside_a_leak(project: Any) -> None:
    pytest.importorskip("pytest_timeout")
    result = project.run_apart(LEAKS + CLEAN, "--timeout=60")
    assert project.outcomes(result) == {"failed": 1, "passed": 1}


RANDOM = """
    import json, random

    drawn = {{}}

    @pytest.fixture(scope="session")
    async def database():
        yield asyncio.get_running_loop()
        with open("drawn.json", "w") as file:
            json.dump(list(drawn.items()), file)

    @pytest.mark.{mark}(loop_scope="session")
    @pytest.mark.parametrize("number", range(4))
    async def test_wide(database, number):
        assert asyncio.get_running_loop() is database
        drawn[f"wide-{{number}}"] = random.random()

    @pytest.mark.{mark}
    @pytest.mark.parametrize("number", range(4))
    async def test_own(number):
        drawn[f"own-{{number}}"] = random.random()
"""


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_pytest_randomly_shuffles_and_seeds_as_without_the_plugin(project: Any, seed: str) -> None:
    pytest.importorskip("pytest_randomly")
    project.pytester.path.joinpath("pytest.ini").write_text(
        "[pytest]\nasyncio_default_fixture_loop_scope = session\naddopts = --import-mode=importlib\n",
        encoding="utf-8",
    )
    drawn = []
    for mark, arguments in (
        ("uno_async", ()),
        ("uno_async", ()),
        ("asyncio", ("-p", "no:uno", "--asyncio-mode=auto")),
    ):
        result = project.run_apart(RANDOM.format(mark=mark), f"--randomly-seed={seed}", *arguments)
        assert project.outcomes(result) == {"passed": 8}
        drawn.append(project.pytester.path.joinpath("drawn.json").read_text("utf-8"))
    assert drawn[0] == drawn[1] == drawn[2]


def test_pytest_cov_measures_the_tests(project: Any) -> None:
    pytest.importorskip("pytest_cov")
    project.file(
        "shop.py",
        """
    async def buy(count):
        if count > 1:
            await asyncio.sleep(0)
        return count
    """,
    )
    source = """
    import sys

    sys.path.insert(0, "")
    import shop

    @pytest.mark.uno_async
    async def test_buys():
        assert await asyncio.create_task(shop.buy(2)) == 2
    """
    result = project.run_apart(source + LEAKS, "--cov=shop", "--cov-branch", "--cov-report=term")
    assert project.outcomes(result) == {"failed": 1, "passed": 1}
    result.stdout.fnmatch_lines(["shop.py*"])
    (line,) = project.lines_with(result, "shop.py ")
    name, statements, missed, *_ = line.split()
    assert (name, statements, missed) == ("shop.py", "6", "0")


# -- anyio and trio


def test_anyio_and_uno_tests_share_a_sync_fixture(project: Any) -> None:
    pytest.importorskip("anyio")
    source = """
    made = []

    @pytest.fixture(scope="module")
    def shared():
        made.append(1)
        return made

    @pytest.fixture
    def each(shared):
        return shared

    @pytest.fixture
    def anyio_backend():
        return "asyncio"

    @pytest.mark.anyio
    async def test_anyio_before(each):
        await asyncio.sleep(0)

    @pytest.mark.uno_async
    async def test_uno(each, uno_manager):
        assert uno_manager is not None

    @pytest.mark.anyio
    async def test_anyio_after(each):
        assert each == [1]
        await asyncio.sleep(0)

    @pytest.mark.uno_async
    async def test_uno_again(each):
        assert each == [1]
    """
    result = project.run_apart(source + LEAKS)
    assert project.outcomes(result) == {"failed": 1, "passed": 4}


def test_anyio_tests_are_not_judged(project: Any) -> None:
    pytest.importorskip("anyio")
    source = """
    @pytest.mark.anyio
    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_anyio(anyio_backend):
        asyncio.get_running_loop().create_task(asyncio.Event().wait(), name="theirs")
        await asyncio.sleep(0)
    """
    result = project.run_apart(source + CLEAN, "--uno-report=json:leaks.json")
    assert project.outcomes(result) == {"passed": 2}
    assert project.leaks() == []


def test_trio_and_uno_tests_share_a_sync_fixture(project: Any) -> None:
    pytest.importorskip("trio")
    pytest.importorskip("pytest_trio")
    source = """
    import trio

    @pytest.fixture(scope="module")
    def shared():
        return []

    @pytest.mark.trio
    async def test_trio(shared):
        await trio.sleep(0)
        shared.append("trio")

    @pytest.mark.uno_async
    async def test_uno(shared):
        await asyncio.sleep(0)
        shared.append("uno")

    @pytest.mark.trio
    async def test_trio_again(shared):
        await trio.sleep(0)
        assert shared == ["trio", "uno"]
    """
    result = project.run_apart(source + LEAKS)
    assert project.outcomes(result) == {"failed": 1, "passed": 3}
