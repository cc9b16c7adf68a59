"""Which clock a test is on, and which loop carries it."""

from __future__ import annotations

from typing import Any

import pytest

SHOW = """
    def show():
        loop = asyncio.get_running_loop()
        clock = getattr(loop, "clock", None)
        return "virtual" if clock is not None and clock.is_virtual else "real"
"""


def test_virtual_time_is_the_default(project: Any) -> None:
    result = project.run(
        """
    import time

    @pytest.mark.uno_async
    async def test_an_hour(uno_clock):
        begun = time.monotonic()
        await asyncio.sleep(3600)
        assert uno_clock is asyncio.get_running_loop().clock
        assert uno_clock.is_virtual
        assert uno_clock.elapsed == 3600
        assert uno_clock.jumps == 1
        assert time.monotonic() - begun < 600

    @pytest.mark.uno_async
    async def test_the_next_begins_anew(uno_clock):
        assert (uno_clock.elapsed, uno_clock.jumps) == (0, 0)

    @pytest.mark.uno_async(clock="real")
    async def test_real():
        assert type(asyncio.get_running_loop()) is asyncio.SelectorEventLoop
        begun = time.monotonic()
        await asyncio.sleep(0.02)
        assert time.monotonic() - begun > 0.019
    """
    )
    assert project.outcomes(result) == {"passed": 3}


@pytest.mark.parametrize(
    ("ini", "flags", "expected"),
    [
        ("", (), ("virtual", "virtual", "real")),
        ("uno_clock = real", (), ("real", "virtual", "real")),
        ("uno_clock = real", ("--uno-clock=virtual",), ("virtual", "virtual", "virtual")),
        ("", ("--uno-clock=real",), ("real", "real", "real")),
    ],
)
def test_the_flag_beats_the_marker_and_the_marker_the_ini(
    project: Any, ini: str, flags: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    project.ini(ini)
    result = project.run(
        SHOW
        + """
    @pytest.mark.uno_async
    async def test_bare():
        print("SEEN", show())

    @pytest.mark.uno_async(clock="virtual")
    async def test_virtual():
        print("SEEN", show())

    @pytest.mark.uno_async(clock="real")
    async def test_real():
        print("SEEN", show())
    """,
        "-s",
        *flags,
    )
    assert project.outcomes(result) == {"passed": 3}
    seen = [line.partition("SEEN ")[2] for line in project.lines_with(result, "SEEN ")]
    assert tuple(seen) == expected


def test_uno_clock_on_real_time_tells_the_time_and_refuses_to_be_steered(project: Any) -> None:
    result = project.run(
        """
    from pytest_uno import ClockError

    @pytest.fixture
    def indirect(uno_clock):
        return uno_clock

    @pytest.mark.uno_async(clock="real")
    async def test_it(indirect, uno_clock):
        assert indirect is uno_clock
        assert not uno_clock.is_virtual
        await asyncio.sleep(0.02)
        assert 0.019 < uno_clock.elapsed < 600
        assert uno_clock.now().tzinfo is not None
        with pytest.raises(ClockError, match="needs virtual time"):
            await uno_clock.advance(1)
        with pytest.raises(ClockError, match="needs virtual time"):
            uno_clock.leap(1)
    """
    )
    assert project.outcomes(result) == {"passed": 1}


def test_uno_clock_serves_fixtures_and_refuses_other_tests(project: Any) -> None:
    result = project.run(
        """
    @pytest.fixture
    def deadline(uno_clock):
        return uno_clock.time() + 60

    @pytest.fixture
    async def slow(uno_clock):
        await asyncio.sleep(3600)
        yield uno_clock.elapsed
        await asyncio.sleep(3600)
        assert uno_clock.elapsed == 7260

    @pytest.mark.uno_async
    async def test_it(deadline, slow, uno_clock):
        assert (deadline, slow) == (60, 3600)
        await asyncio.sleep(60)

    def test_sync(uno_clock): ...

    @pytest.mark.asyncio
    async def test_plain(uno_clock): ...
    """
    )
    assert project.outcomes(result) == {"passed": 1, "errors": 2}
    result.stdout.fnmatch_lines(
        ["*the fixture uno_clock needs a uno_async test*", "*fix: mark the async test*"]
    )


def test_a_factory_of_plain_loops_is_given_ours(project: Any) -> None:
    project.file(
        "conftest.py",
        """
    from pytest_uno.clock import VirtualEventLoop

    class Mine(VirtualEventLoop): ...

    made = []

    def plain():
        made.append(asyncio.new_event_loop())
        return made[-1]

    def pytest_asyncio_loop_factories():
        return {"plain": plain, "mine": Mine}

    @pytest.fixture
    def made_loops():
        return made
    """,
    )
    result = project.run(
        """
    @pytest.mark.uno_async
    async def test_own(made_loops):
        await check(made_loops)

    @pytest.mark.uno_async(loop_scope="module")
    async def test_module(made_loops):
        await check(made_loops)

    @pytest.mark.uno_async(clock="real", loop_factories=["plain"])
    async def test_real(made_loops):
        assert made_loops[-1] is asyncio.get_running_loop()

    async def check(made_loops):
        loop = asyncio.get_running_loop()
        assert type(loop).__name__ in ("VirtualEventLoop", "Mine")
        assert loop.clock.is_virtual
        assert all(other.is_closed() for other in made_loops)
        await asyncio.sleep(3600)
    """,
        "-W",
        "error",
    )
    assert project.outcomes(result) == {"passed": 5}


FOREIGN = """
    class Foreign(asyncio.SelectorEventLoop): ...

    def make_foreign():
        return Foreign()

    def pytest_asyncio_loop_factories():
        return {"theirs": make_foreign}
"""


@pytest.mark.parametrize("scope", ["function", "session"])
def test_a_foreign_loop_serves_real_time_only(project: Any, scope: str) -> None:
    project.file("conftest.py", FOREIGN)
    result = project.run(
        f"""
    pytestmark = pytest.mark.uno_async(loop_scope="{scope}")

    async def test_virtual(): ...

    @pytest.mark.uno_async(clock="real")
    async def test_real():
        assert type(asyncio.get_running_loop()).__name__ == "Foreign"

    @pytest.mark.uno_async(clock="real")
    async def test_clock(uno_clock): ...

    @pytest.mark.uno_async(clock="real", timeout=0.02)
    async def test_timeout():
        await asyncio.sleep(600)

    @pytest.mark.uno_async(clock="real", timeout=0.02)
    async def test_swallowed():
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            pass

    @pytest.mark.uno_async(clock="real")
    async def test_next(uno_manager): ...
    """,
        "-W",
        "error",
    )
    assert project.outcomes(result) == {"passed": 2, "failed": 2, "errors": 2}
    result.stdout.fnmatch_lines(
        [
            "*test_virtual*: the loop *Foreign has no virtual time*",
            "*likely cause: the loop was made by the factory *make_foreign of pytest_asyncio_loop_factories*",
            "*fix: run the test with clock='real'*",
            "*#no-virtual-time*",
        ]
    )
    result.stdout.fnmatch_lines(["*test_clock*: the loop *Foreign has no uno_clock*"])
    assert len(project.lines_with(result, "ClockTimeoutError: not finished after 0.02 s of real time")) >= 2
    assert not project.lines_with(result, "UNO101")


def test_a_policy_of_foreign_loops_is_named(project: Any) -> None:
    result = project.run(
        """
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")

        class Policy(asyncio.DefaultEventLoopPolicy):
            def new_event_loop(self):
                return Foreign()

    class Foreign(asyncio.SelectorEventLoop): ...

    @pytest.fixture(scope="module")
    def event_loop_policy():
        return Policy()

    @pytest.mark.uno_async
    async def test_virtual(): ...

    @pytest.mark.uno_async(clock="real")
    async def test_real():
        assert isinstance(asyncio.get_running_loop(), Foreign)
    """
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*the loop was made by the event loop policy*"])


@pytest.mark.parametrize("scope", ["function", "session"])
def test_a_policy_of_plain_loops_is_given_ours(project: Any, scope: str) -> None:
    result = project.run(
        f"""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        class Policy(asyncio.DefaultEventLoopPolicy): ...

    @pytest.fixture(scope="session")
    def event_loop_policy():
        return Policy()

    @pytest.mark.uno_async(loop_scope="{scope}")
    async def test_it(uno_clock):
        await asyncio.sleep(3600)
        assert uno_clock.elapsed == 3600
    """
    )
    result.assert_outcomes(passed=1)


def test_looptime_taking_over_a_shared_loop_is_told(project: Any) -> None:
    project.file(
        "looptime/__init__.py",
        """
    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(fixturedef):
        result = yield
        if isinstance(result, asyncio.Runner):
            loop = result.get_loop()
            loop.__class__ = type("Patched", (type(loop),), {"__module__": "looptime.loops"})
        return result
    """,
    )
    result = project.run_apart(
        """
    @pytest.mark.uno_async
    async def test_own(): ...

    @pytest.mark.uno_async(loop_scope="session")
    async def test_shared(): ...

    @pytest.mark.uno_async(loop_scope="session", clock="real")
    async def test_real(): ...
    """,
        "-p",
        "looptime",
    )
    assert project.outcomes(result) == {"passed": 2, "errors": 1}
    result.stdout.fnmatch_lines(["*looptime's plugin is installed*", "*fix: *-p no:looptime_plugin*"])
