"""Async fixtures: order, context variables, one task for the life of a generator."""

from __future__ import annotations

from typing import Any


def test_sync_async_and_generator_fixtures_share_a_loop_and_end_last_first(project: Any) -> None:
    result = project.run(
        """
    order = []

    @pytest.fixture
    def a():
        order.append("a+")
        yield asyncio.get_event_loop()
        order.append("a-")

    @pytest.fixture
    async def b(a):
        assert asyncio.get_running_loop() is a
        order.append("b+")
        return a

    @pytest.fixture
    async def c(b):
        order.append("c+")
        yield asyncio.get_running_loop()
        await asyncio.sleep(0)
        assert asyncio.get_running_loop() is b
        order.append("c-")

    class TestIt:
        @pytest.fixture
        async def d(self, c):
            self.seen = c
            order.append("d+")
            yield self
            order.append("d-")

        @pytest.mark.uno_async
        async def test_it(self, d, c):
            assert d is self and d.seen is asyncio.get_running_loop()
            order.append("test")

    def test_order():
        assert order == ["a+", "b+", "c+", "d+", "test", "d-", "c-", "a-"]
    """,
        "-W",
        "error",
    )
    assert project.outcomes(result) == {"passed": 2}


def test_context_variables_reach_the_test_and_are_gone_afterwards(project: Any) -> None:
    result = project.run(
        """
    import contextvars
    one = contextvars.ContextVar("one")
    two = contextvars.ContextVar("two", default="none")

    @pytest.fixture
    async def plain():
        one.set("plain")

    @pytest.fixture
    async def generator(plain):
        assert one.get() == "plain"
        two.set("generator")
        yield
        assert two.get() == "generator"

    @pytest.mark.uno_async
    async def test_seen(generator):
        assert (one.get(), two.get()) == ("plain", "generator")
        two.set("test")

    def test_gone():
        assert one.get("gone") == "gone"
        assert two.get() == "none"
    """
    )
    assert project.outcomes(result) == {"passed": 2}


def test_both_halves_run_in_one_task(project: Any) -> None:
    result = project.run(
        """
    @pytest.fixture
    async def f():
        task = asyncio.current_task()
        yield
        assert asyncio.current_task() is task

    @pytest.mark.uno_async
    async def test_it(f): ...
    """
    )
    assert project.outcomes(result) == {"passed": 1}


def test_groups_scopes_and_timeouts_may_span_the_yield(project: Any) -> None:
    result = project.run(
        """
    import anyio
    done = []

    @pytest.fixture
    async def group():
        async with asyncio.TaskGroup() as tg:
            yield tg

    @pytest.fixture
    async def scope():
        with anyio.CancelScope() as scope:
            yield scope
            await anyio.sleep(0)

    @pytest.fixture
    async def anyio_group():
        async with anyio.create_task_group() as tg:
            yield tg
            tg.cancel_scope.cancel()

    @pytest.fixture
    async def limit():
        async with asyncio.timeout(60):
            yield

    @pytest.mark.uno_async
    async def test_it(group, scope, anyio_group, limit):
        async def work():
            done.append(1)
        group.create_task(work())
        anyio_group.start_soon(anyio.sleep, 60)
        await asyncio.sleep(0)

    def test_done():
        assert done == [1]
    """,
        "-W",
        "error",
    )
    assert project.outcomes(result) == {"passed": 2}


def test_a_crash_in_a_fixture_stops_the_running_test(project: Any) -> None:
    result = project.run(
        """
    @pytest.fixture
    async def group():
        async with asyncio.TaskGroup() as tg:
            yield tg

    @pytest.mark.uno_async
    async def test_it(group):
        async def boom():
            raise ValueError("in the background of the fixture")
        group.create_task(boom())
        await asyncio.Event().wait()

    @pytest.mark.uno_async
    async def test_next(): ...
    """
    )
    assert project.outcomes(result) == {"failed": 1, "passed": 1}
    result.stdout.fnmatch_lines(
        ["*in the background of the fixture*", "*fixture 'group' crashed while the test was running*"]
    )


def test_a_wide_fixture_that_crashes_between_tests_is_an_error_of_its_teardown(project: Any) -> None:
    result = project.run(
        """
    @pytest.fixture(scope="module")
    async def group():
        async with asyncio.TaskGroup() as tg:
            yield tg

    @pytest.mark.uno_async
    async def test_it(group):
        async def boom():
            await asyncio.sleep(0)
            raise ValueError("late")
        group.create_task(boom())
    """
    )
    outcomes = project.outcomes(result)
    assert outcomes in ({"passed": 1, "errors": 1}, {"failed": 1})
    result.stdout.fnmatch_lines(["*ValueError: late*"])


def test_failing_setup_and_teardown_are_reported_as_they_are(project: Any) -> None:
    result = project.run(
        """
    pytestmark = pytest.mark.uno_async

    @pytest.fixture
    async def bad_setup():
        raise ValueError("setup failed")
        yield

    @pytest.fixture
    async def bad_teardown():
        yield
        raise ValueError("teardown failed")

    @pytest.fixture
    async def twice():
        yield 1
        yield 2

    @pytest.fixture
    async def skips():
        pytest.skip("not here")
        yield

    async def test_a(bad_setup): ...
    async def test_b(bad_teardown): ...
    async def test_c(twice): ...
    async def test_d(skips): ...
    async def test_e(): ...
    """
    )
    assert project.outcomes(result) == {"passed": 3, "errors": 3, "skipped": 1}
    result.stdout.fnmatch_lines(["*ValueError: setup failed*", "*ValueError: teardown failed*"])
    result.stdout.fnmatch_lines(["*async generator fixture 'twice' yielded more than once*"])


def test_a_sync_test_with_an_async_fixture_does_not_spoil_the_next_one(
    all_plugins: None, project: Any
) -> None:
    result = project.run(
        """
    @pytest.fixture
    async def f():
        return 1

    @pytest.mark.uno_async
    async def test_before(f):
        assert f == 1

    def test_sync(f): ...

    @pytest.mark.uno_async
    async def test_after(f):
        assert f == 1

    @pytest.mark.anyio
    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_anyio(f, anyio_backend):
        assert f == 1
    """
    )
    outcomes = project.outcomes(result)
    assert outcomes == {"passed": 3, "errors": 1} or outcomes == {"passed": 3, "failed": 1}


def test_one_session_fixture_shared_with_plain_asyncio_tests(project: Any) -> None:
    project.ini("asyncio_default_test_loop_scope = session\n")
    path = project.pytester.path / "pytest.ini"
    path.write_text(path.read_text().replace("fixture_loop_scope = function", "fixture_loop_scope = session"))
    result = project.run(
        """
    import pytest_asyncio
    built = []

    @pytest_asyncio.fixture(scope="session")
    async def db():
        built.append(1)
        yield asyncio.get_running_loop()

    @pytest.mark.asyncio
    async def test_asyncio(db):
        assert asyncio.get_running_loop() is db

    @pytest.mark.uno_async
    async def test_uno(db):
        assert asyncio.get_running_loop() is db

    @pytest.mark.asyncio
    async def test_asyncio_again(db):
        assert asyncio.get_running_loop() is db
        assert built == [1]
    """
    )
    assert project.outcomes(result) == {"passed": 3}
