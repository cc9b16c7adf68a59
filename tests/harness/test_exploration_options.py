"""What the marker and the command line refuse about exploration."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("arguments", "message", "fix"),
    [
        ("schedules=-1", "schedules=-1) is not a value", "give a number of schedules"),
        ("schedules=True", "schedules=True) is not a value", "0 is stock order alone"),
        ("schedules=5, seed='a'", "seed='a') is not a value", "give a whole number"),
        ("schedules=5, delay='disk'", "delay='disk') is not a value", "some of 'io', 'sleep', 'yield'"),
        ("schedules=5, delay=5", "delay=5) is not a value", "some of 'io', 'sleep', 'yield'"),
        ("schedules=5, jitter=0.5", "jitter=0.5) is not a value", "a number of at least 1"),
        ("schedules=5, timeouts=1", "timeouts=1) is not a value", "use True or False"),
        ("schedules=5, explore_time=-1", "explore_time=-1) is not a value", "give real seconds"),
        ("shedules=5", "unknown argument 'shedules'", "did you mean 'schedules'?"),
        ("seed=3", "seed= says how schedules are explored, and the test explores none", "add schedules="),
        ("schedules=5, clock='real'", "schedules= needs virtual time", "clock='virtual'"),
        ("schedules=5, loop_scope='module'", "a loop for each schedule, not one of a module", "uno_explore"),
        (
            "schedules=5, loop_factories=['x']",
            "schedules= brings a loop of its own",
            "remove loop_factories=",
        ),
    ],
)
def test_wrong_arguments_are_errors_at_collection(
    project: Any, arguments: str, message: str, fix: str
) -> None:
    result = project.run(
        f"""
    @pytest.mark.uno_async({arguments})
    async def test_it(): ...
    """
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert message in result.stdout.str()
    assert fix in result.stdout.str()
    assert "#bad-marker" in result.stdout.str()


@pytest.mark.parametrize(
    "arguments", ["delay='io'", "delay=('io', 'yield')", "delay=[]", "jitter=1, timeouts=True"]
)
def test_right_arguments_are_taken(project: Any, arguments: str) -> None:
    result = project.run(
        f"""
    @pytest.mark.uno_async(schedules=5, seed=-3, {arguments})
    async def test_it():
        await asyncio.gather(asyncio.sleep(1), asyncio.sleep(2))

    @pytest.mark.uno_async(schedules=0, clock="real")
    async def test_not_explored(): ...
    """
    )
    assert project.outcomes(result) == {"passed": 2}


def test_examples_of_hypothesis_are_not_explored_each(project: Any) -> None:
    result = project.run(
        """
    from hypothesis import given, strategies as st

    @pytest.mark.uno_async(schedules=5)
    @given(st.integers())
    async def test_it(number): ...
    """
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        ["*schedules= and @given cannot be combined*", "*call uno_explore(scenario)*"]
    )


def test_a_wider_async_fixture_is_refused(project: Any) -> None:
    result = project.run(
        """
    @pytest.fixture(scope="module")
    async def server(): ...

    @pytest.mark.uno_async(schedules=5)
    async def test_it(server): ...
    """
    )
    assert project.outcomes(result) == {"errors": 1}
    result.stdout.fnmatch_lines(["*needs a loop for each schedule*", "*give the fixture function scope*"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--uno-schedules=many"], "--uno-schedules: 'many' is not a number of schedules"),
        (["--uno-schedules=-1"], "--uno-schedules: '-1' is not a number of schedules"),
        (["--uno-order=random"], "--uno-order: 'random' is not one of explore, stock"),
        (["--uno-order=stock", "--uno-schedules=5"], "--uno-order=stock runs one schedule"),
        (["--uno-replay=io:x"], "--uno-replay: 'io:x' is not the token of a schedule"),
        (["--uno-replay=io:1", "--uno-schedules=5"], "--uno-replay runs the schedule of its token alone"),
    ],
)
def test_wrong_flags_are_usage_errors(project: Any, options: list[str], message: str) -> None:
    result = project.run("def test_it(): ...", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in result.stdout.str() + result.stderr.str()


def test_stock_order_may_be_said_twice(project: Any) -> None:
    assert project.run("def test_it(): ...", "--uno-order=stock", "--uno-schedules=0").ret == 0
    assert project.run("def test_it(): ...", "--uno-order=explore", "--uno-schedules=9").ret == 0
