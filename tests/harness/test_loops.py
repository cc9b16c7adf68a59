"""Which loop tests and fixtures run on."""

from __future__ import annotations

from typing import Any

import pytest


def test_a_test_without_wide_fixtures_has_a_loop_of_its_own(project: Any) -> None:
    result = project.run(
        """
    loops = []

    @pytest.mark.uno_async
    @pytest.mark.parametrize("n", [1, 2])
    async def test_it(n):
        loops.append(asyncio.get_running_loop())
        assert len(set(loops)) == n
    """
    )
    assert project.outcomes(result) == {"passed": 2}


def test_wide_async_fixtures_bring_the_test_to_the_session_loop(project: Any) -> None:
    result = project.run(
        """
    pytestmark = pytest.mark.uno_async
    loops = {}

    @pytest.fixture(scope="session")
    async def s():
        loops["s"] = asyncio.get_running_loop()
        yield
        assert asyncio.get_running_loop() is loops["s"]

    @pytest.fixture(scope="module")
    async def m(s):
        loops["m"] = asyncio.get_running_loop()

    @pytest.fixture
    async def f(m):
        loops["f"] = asyncio.get_running_loop()
        yield
        assert asyncio.get_running_loop() is loops["s"]

    async def test_one(s, m, f):
        assert {asyncio.get_running_loop()} == set(loops.values())

    async def test_two(f):
        assert {asyncio.get_running_loop()} == set(loops.values())

    async def test_alone():
        assert asyncio.get_running_loop() is not loops["s"]
    """
    )
    assert project.outcomes(result) == {"passed": 3}


@pytest.mark.parametrize("scope", ["session", "package", "module", "class", "function"])
def test_every_loop_scope_by_marker(project: Any, scope: str) -> None:
    result = project.run(
        f"""
    loops = []

    @pytest.mark.uno_async(loop_scope="{scope}")
    class TestIt:
        async def test_one(self, uno_manager):
            loops.append(asyncio.get_running_loop())

        async def test_two(self, uno_manager):
            loops.append(asyncio.get_running_loop())

    def test_compare():
        assert (loops[0] is loops[1]) == ("{scope}" != "function")
    """
    )
    assert project.outcomes(result) == {"passed": 3}


def test_explicit_loop_scope_of_a_fixture_is_obeyed(project: Any) -> None:
    result = project.run(
        """
    import pytest_asyncio
    pytestmark = pytest.mark.uno_async

    @pytest_asyncio.fixture(scope="module", loop_scope="module")
    async def m():
        return asyncio.get_running_loop()

    @pytest.mark.uno_async
    async def test_it(m, request):
        assert asyncio.get_running_loop() is m
        assert request.node._loop_scope == "module"
    """
    )
    assert project.outcomes(result) == {"passed": 1}


def test_asyncio_marker_next_to_ours_keeps_its_loop_scope(project: Any) -> None:
    result = project.run(
        """
    @pytest.mark.uno_async
    @pytest.mark.asyncio(loop_scope="module")
    async def test_it(request, uno_manager):
        assert request.node._loop_scope == "module"

    @pytest.mark.asyncio(loop_scope="module")
    @pytest.mark.uno_async(loop_scope="class")
    async def test_ours_wins(request, uno_manager):
        assert request.node._loop_scope == "class"
    """
    )
    assert project.outcomes(result) == {"passed": 2}


def test_default_test_loop_scope_of_pytest_asyncio_holds(project: Any) -> None:
    project.ini("asyncio_default_test_loop_scope = module")
    result = project.run(
        """
    @pytest.mark.uno_async
    async def test_it(request):
        assert request.node._loop_scope == "module"
    """
    )
    assert project.outcomes(result) == {"passed": 1}


def test_sync_fixtures_see_the_loop_of_the_test(project: Any) -> None:
    result = project.run(
        """
    @pytest.fixture
    def early():
        loop = asyncio.get_event_loop()
        yield loop
        assert not loop.is_closed()

    @pytest.fixture(scope="session")
    async def wide():
        return asyncio.get_running_loop()

    @pytest.mark.uno_async
    async def test_own(early):
        assert early is asyncio.get_running_loop()

    @pytest.mark.uno_async
    async def test_wide(early, wide):
        assert early is asyncio.get_running_loop() is wide

    @pytest.mark.uno_async
    async def test_own_again(early):
        assert early is asyncio.get_running_loop()
    """,
        "-W",
        "error",
    )
    assert project.outcomes(result) == {"passed": 3}


def test_user_loop_factories_give_their_ids(project: Any) -> None:
    pytest.importorskip("pytest_asyncio", minversion="1.4")
    project.file(
        "conftest.py",
        """
    from pytest_uno.clock import VirtualEventLoop

    class One(VirtualEventLoop): ...
    class Two(VirtualEventLoop): ...

    def pytest_asyncio_loop_factories():
        return {"one": One, "two": Two}
    """,
    )
    result = project.run(
        """
    @pytest.mark.uno_async
    async def test_both(uno_manager):
        print("LOOP", type(asyncio.get_running_loop()).__name__)

    @pytest.mark.uno_async(loop_factories=["two"])
    async def test_chosen(uno_manager):
        assert type(asyncio.get_running_loop()).__name__ == "Two"
    """,
        "-v",
        "-s",
    )
    assert project.outcomes(result) == {"passed": 3}
    assert project.lines_with(result, "test_both[one]")
    assert project.lines_with(result, "LOOP One")
    assert project.lines_with(result, "LOOP Two")


def test_uvloop(project: Any) -> None:
    pytest.importorskip("uvloop")
    pytest.importorskip("pytest_asyncio", minversion="1.4")
    project.file(
        "conftest.py",
        """
    def pytest_asyncio_loop_factories():
        import uvloop
        return {"uvloop": uvloop.new_event_loop}
    """,
    )
    result = project.run_apart(
        """
    @pytest.mark.uno_async(clock="real")
    async def test_clean(uno_manager):
        assert "uvloop" in type(asyncio.get_running_loop()).__module__
        uno_manager.create_task(asyncio.sleep(60))

    @pytest.mark.uno_async(clock="real")
    async def test_leaks():
        asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)

    @pytest.mark.uno_async
    async def test_virtual(): ...

    @pytest.mark.uno_async(clock="real", loop_scope="session", timeout=0.02)
    async def test_late():
        await asyncio.sleep(60)
    """
    )
    assert project.outcomes(result) == {"passed": 1, "failed": 2, "errors": 1}
    result.stdout.fnmatch_lines(["*UNO101*"])
    result.stdout.fnmatch_lines(["*the loop uvloop.Loop has no virtual time*"])
    result.stdout.fnmatch_lines(["*ClockTimeoutError: not finished after 0.02 s of real time*"])


def test_a_policy_fixture_is_honoured(project: Any) -> None:
    result = project.run(
        """
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")

        class Policy(asyncio.DefaultEventLoopPolicy):
            def new_event_loop(self):
                loop = super().new_event_loop()
                loop.mine = True
                return loop

    @pytest.fixture(scope="module")
    def event_loop_policy():
        return Policy()

    @pytest.mark.uno_async(clock="real")
    async def test_it(uno_manager):
        assert asyncio.get_running_loop().mine
        from pytest_uno import get_async_manager
        assert get_async_manager() is uno_manager
    """,
        "-W",
        "ignore",
    )
    assert project.outcomes(result) == {"passed": 1}


def test_the_policy_fixture_is_there_for_whoever_asks(project: Any) -> None:
    result = project.run(
        """
    @pytest.fixture
    def by_fixture(event_loop_policy):
        return event_loop_policy

    @pytest.mark.uno_async
    async def test_argument(event_loop_policy, by_fixture):
        assert event_loop_policy is by_fixture is not None

    @pytest.mark.uno_async
    async def test_fixture(by_fixture):
        assert by_fixture is not None

    @pytest.mark.uno_async
    async def test_nobody(request):
        assert "event_loop_policy" not in request.fixturenames
    """
    )
    assert project.outcomes(result) == {"passed": 3}


def test_debug_mode(project: Any) -> None:
    source = """
    @pytest.mark.uno_async
    async def test_it():
        print("DEBUG", asyncio.get_running_loop().get_debug())
    """
    project.run(source, "-s").stdout.fnmatch_lines(["*DEBUG False*"])
    project.run(None, "-s", "--asyncio-debug").stdout.fnmatch_lines(["*DEBUG True*"])
    project.ini("asyncio_debug = true")
    project.run(None, "-s").stdout.fnmatch_lines(["*DEBUG True*"])


def test_a_test_that_closes_its_loop_is_told_so(project: Any) -> None:
    result = project.run(
        """
    @pytest.fixture
    def closer():
        loop = asyncio.get_event_loop()
        yield
        loop.close()

    @pytest.mark.uno_async
    async def test_it(closer): ...

    @pytest.mark.uno_async
    async def test_next(): ...
    """
    )
    assert project.outcomes(result) == {"passed": 1, "failed": 1}
    result.stdout.fnmatch_lines(["*UNO901*closed*", "*fix *"])
    assert project.outcomes(project.run(None, "--uno-leaks=off")) == {"passed": 2}


def test_a_shared_loop_that_is_closed_early_is_let_go(project: Any) -> None:
    result = project.run(
        """
    @pytest.fixture(scope="module")
    def loops():
        loops = []
        yield loops
        loops.pop().close()

    @pytest.mark.uno_async(loop_scope="module")
    async def test_it(loops):
        loops.append(asyncio.get_running_loop())

    @pytest.mark.uno_async
    async def test_next(): ...
    """
    )
    assert project.outcomes(result)["passed"] == 2


def test_a_shared_loop_that_is_closed_before_its_end_is_not_looked_at(project: Any) -> None:
    result = project.run(
        """
    @pytest.fixture(scope="module")
    async def shared_loop():
        return asyncio.get_running_loop()

    @pytest.fixture(scope="module")
    def closer(shared_loop):
        yield
        shared_loop.close()

    @pytest.mark.uno_async(loop_scope="module")
    async def test_it(closer): ...

    @pytest.mark.uno_async
    async def test_next(): ...
    """,
        "-W",
        "ignore:An exception occurred during teardown of an asyncio.Runner:RuntimeWarning",
    )
    assert project.outcomes(result) == {"passed": 2}


def test_a_loop_that_a_fixture_closes_before_the_test_blames_nobody_else(project: Any) -> None:
    result = project.run(
        """
    @pytest.fixture
    def closer():
        asyncio.get_event_loop().close()

    @pytest.mark.uno_async
    async def test_it(closer): ...

    @pytest.mark.uno_async
    async def test_next(): ...
    """
    )
    assert project.outcomes(result) == {"failed": 1, "passed": 1}
    result.stdout.fnmatch_lines(["*RuntimeError: Event loop is closed*"])


def test_async_fixture_inside_a_running_test_is_refused_with_the_fix(project: Any) -> None:
    result = project.run(
        """
    @pytest.fixture
    async def late():
        return 1

    @pytest.fixture(scope="module")
    async def late_generator():
        yield 1

    @pytest.mark.uno_async
    @pytest.mark.parametrize("loop_scope", ["function", "module"])
    async def test_expected(request, loop_scope):
        for name in ("late", "late_generator"):
            with pytest.raises(RuntimeError, match="while the event loop is running"):
                request.getfixturevalue(name)

    @pytest.mark.uno_async
    async def test_it(request):
        request.getfixturevalue("late")
    """
    )
    assert project.outcomes(result) == {"failed": 1, "passed": 2}
    result.stdout.fnmatch_lines(
        ["*cannot be set up while the event loop is running*", "*take the fixture as an argument*"]
    )


def test_hypothesis_runs_on_one_loop_and_its_leak_fails(project: Any) -> None:
    result = project.run(
        """
    from hypothesis import given, settings, strategies as st, HealthCheck
    loops = set()

    @pytest.mark.uno_async
    @settings(max_examples=5, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers())
    async def test_it(n):
        loops.add(asyncio.get_running_loop())
        assert len(loops) == 1

    @pytest.mark.uno_async
    @settings(max_examples=3, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers())
    async def test_leaks(n):
        asyncio.create_task(asyncio.sleep(60))
    """
    )
    assert project.outcomes(result) == {"passed": 1, "failed": 1}
