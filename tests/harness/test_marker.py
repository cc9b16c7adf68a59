"""The marker: what it takes, how markers merge, what is refused and how."""

from __future__ import annotations

from typing import Any

import pytest

RECORD = """
    @pytest.fixture
    def seen(request):
        from pytest_uno.harness.run_state import options_of
        return options_of(request.node)
"""


def test_function_class_and_module_markers_merge_key_by_key(project: Any) -> None:
    result = project.run(
        RECORD
        + """
    pytestmark = pytest.mark.uno_async(real_timeout=30, leaks="warn")

    async def test_module(seen):
        assert (seen.real_timeout, seen.leaks) == (30, "warn")

    @pytest.mark.uno_async(leaks="off")
    async def test_function(seen):
        assert (seen.real_timeout, seen.leaks) == (30, "off")

    @pytest.mark.uno_async(real_timeout=20)
    class TestClass:
        async def test_class(self, seen):
            assert (seen.real_timeout, seen.leaks) == (20, "warn")

        @pytest.mark.uno_async(real_timeout=10)
        async def test_method(self, seen):
            assert (seen.real_timeout, seen.leaks) == (10, "warn")

        @staticmethod
        @pytest.mark.uno_async(leaks="error")
        async def test_static(seen):
            assert (seen.real_timeout, seen.leaks) == (20, "error")

    @pytest.mark.parametrize("n", [1, pytest.param(2, marks=pytest.mark.uno_async(real_timeout=5))])
    @pytest.mark.uno_async(real_timeout=6)
    async def test_param(n, seen):
        assert seen.real_timeout == {1: 6, 2: 5}[n]
    """
    )
    assert project.outcomes(result) == {"passed": 7}


def test_false_turns_it_off(project: Any) -> None:
    result = project.run(
        """
    pytestmark = pytest.mark.uno_async

    async def test_on(uno_manager): ...

    @pytest.mark.uno_async(False)
    @pytest.mark.asyncio
    async def test_off(request):
        from pytest_uno.harness.run_state import options_of
        assert options_of(request.node) is None

    @pytest.mark.uno_async(False)
    class TestOff:
        @pytest.mark.uno_async(leaks="warn")
        async def test_on_again(self, uno_manager): ...
    """
    )
    assert project.outcomes(result) == {"passed": 3}


def test_false_on_a_test_that_nobody_else_runs_leaves_it_to_pytest(project: Any) -> None:
    result = project.run(
        """
    pytestmark = pytest.mark.uno_async

    @pytest.mark.uno_async(False)
    async def test_off(): ...

    async def test_on(uno_manager): ...
    """
    )
    assert project.outcomes(result) == {"passed": 1, "failed": 1}
    result.stdout.fnmatch_lines(["*async def functions are not natively supported*"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("real_timout=5", "unknown argument 'real_timout'*did you mean 'real_timeout'?"),
        ("rubbish=1", "unknown argument 'rubbish'*known arguments: clock, start, timeout, real_timeout"),
        ("leaks='fail'", "uno_async(leaks='fail')*use 'error' or 'warn' or 'off'"),
        ("leaks='eror'", "did you mean 'error'?"),
        ("real_timeout='5'", "uno_async(real_timeout='5')*give seconds"),
        ("real_timeout=-1", "give seconds as a number of at least 0"),
        ("real_timeout=True", "give seconds"),
        ("loop_scope='sesion'", "did you mean 'session'?"),
        ("loop_factories=[]", "give a list of names"),
        ("loop_factories='uvloop'", "give a list of names"),
        ("clock='vrtual'", "did you mean 'virtual'?*use 'virtual' or 'real'"),
        ("clok='real'", "unknown argument 'clok'*did you mean 'clock'?"),
        ("timeout='3'", "uno_async(timeout='3')*give seconds"),
        ("timeout=-1", "give seconds as a number of at least 0"),
        ("start='yesterday'", "uno_async(start='yesterday') is not a value of start*ISO 8601"),
        ("start=2026", "uno_async(start=2026)*give a datetime"),
        ("start='2026-01-01', clock='real'", "start=...) needs virtual time*(clock='real')*remove start="),
        ("5", "takes keyword arguments, or False alone, not (5,)"),
        ("False, leaks='off'", "takes keyword arguments, or False alone"),
    ],
)
def test_bad_arguments_are_errors_at_collection(project: Any, arguments: str, expected: str) -> None:
    result = project.run(
        f"""
    @pytest.mark.uno_async({arguments})
    async def test_it(): ...
    """
    )
    assert project.outcomes(result) == {"errors": 1}
    text = " ".join(result.outlines)
    position = 0
    for part in expected.split("*"):
        position = text.find(part, position)
        assert position >= 0, (part, text)
    result.stdout.fnmatch_lines(["*test_it.py::test_it*", "*fix:*", "*docs: https://*#bad-marker"])


def test_sync_test_with_the_marker_is_an_error(project: Any) -> None:
    result = project.run(
        """
    @pytest.mark.uno_async
    def test_it(): ...
    """
    )
    assert project.outcomes(result) == {"errors": 1}
    result.stdout.fnmatch_lines(
        ["*uno_async on a test that is not async*", "*write `async def`*", "*#sync-test"]
    )


def test_bad_marker_on_a_sync_test_names_the_argument_first(project: Any) -> None:
    result = project.run(
        """
    @pytest.mark.uno_async(leeks="off")
    def test_it(): ...
    """
    )
    result.stdout.fnmatch_lines(["*unknown argument 'leeks'*"])


def test_module_marker_leaves_sync_and_unittest_tests_alone(project: Any) -> None:
    result = project.run(
        '''
    import unittest

    pytestmark = pytest.mark.uno_async

    def test_sync():
        """
        >>> 1 + 1
        2
        """

    async def test_async(uno_manager): ...

    class TestOld(unittest.TestCase):
        def test_sync(self): ...

    class TestNew(unittest.IsolatedAsyncioTestCase):
        async def test_async(self):
            await asyncio.sleep(0)
    ''',
        "-W",
        "error",
        "--doctest-modules",
    )
    assert project.outcomes(result) == {"passed": 5}


def test_unittest_method_with_the_marker_is_an_error(project: Any) -> None:
    result = project.run(
        """
    import unittest

    class TestNew(unittest.IsolatedAsyncioTestCase):
        @pytest.mark.uno_async
        async def test_async(self): ...
    """
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*uno_async on a method of a unittest.TestCase*"])


@pytest.mark.parametrize("marker", ["@pytest.mark.uno_async", ""])
def test_async_generator_test_is_an_error(project: Any, marker: str) -> None:
    project.ini("uno_async_mode = auto")
    result = project.run(
        f"""
    {marker}
    async def test_it():
        yield
    """
    )
    assert project.outcomes(result) == {"errors": 1}
    result.stdout.fnmatch_lines(["*an async generator cannot be a uno_async test*", "*#async-generator-test"])


def test_marker_that_a_conftest_adds_late(project: Any) -> None:
    project.file(
        "conftest.py",
        """
    def pytest_collection_modifyitems(items):
        for item in items:
            if item.get_closest_marker("asyncio") is None:
                item.add_marker(pytest.mark.uno_async(real_timeout=9))
    """,
    )
    result = project.run(
        RECORD
        + """
    async def test_async(uno_manager, seen):
        assert seen.real_timeout == 9

    def test_sync(): ...

    async def test_never_marked_otherwise(seen):
        assert seen.real_timeout == 9
    """
    )
    assert project.outcomes(result) == {"passed": 3}


ITEM_MARKED_WHEN_MADE = """
    def pytest_pycollect_makeitem(collector, name, obj):
        if name.startswith("test_"):
            made = list(collector._genfunctions(name, obj))
            for item in made:
                item.add_marker(pytest.mark.uno_async(real_timeout=9))
            return made
"""

ITEM_MARKED_WHEN_COLLECTED = """
    def pytest_itemcollected(item):
        item.add_marker(pytest.mark.uno_async(real_timeout=9))
"""


@pytest.mark.parametrize("conftest", [ITEM_MARKED_WHEN_MADE, ITEM_MARKED_WHEN_COLLECTED])
def test_marker_that_a_conftest_adds_to_the_only_item(project: Any, conftest: str) -> None:
    """It was not ours when its parameters were asked for."""
    project.file("conftest.py", conftest)
    result = project.run(
        RECORD
        + """
    async def test_async(uno_manager, seen):
        assert seen.real_timeout == 9
    """
    )
    assert project.outcomes(result) == {"passed": 1}


def test_bad_marker_added_late_is_an_error_of_the_test(project: Any) -> None:
    project.file(
        "conftest.py",
        """
    @pytest.hookimpl(trylast=True)
    def pytest_runtest_setup(item): ...

    def pytest_itemcollected(item):
        pass

    @pytest.fixture(autouse=True)
    def _nothing(): ...

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(session):
        for item in session.items:
            item.add_marker(pytest.mark.uno_async(leeks=1), append=False)
    """,
    )
    result = project.run(
        """
    @pytest.mark.uno_async
    async def test_it(): ...
    """
    )
    assert project.outcomes(result) == {"errors": 1}
    result.stdout.fnmatch_lines(["*unknown argument 'leeks'*"])


def test_ids_markers_and_strictness(project: Any) -> None:
    source = """
    @pytest.mark.uno_async
    @pytest.mark.parametrize("x", ["a", "b"])
    async def test_it(x): ...
    """
    result = project.run(source, "--collect-only", "-q", "--strict-markers")
    result.stdout.fnmatch_lines(["test_it.py::test_it[[]a]", "test_it.py::test_it[[]b]"])
    result = project.run(None, "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.uno_async(clock=, start=, timeout=, real_timeout=*"])
    result = project.run(None, "--fixtures")
    result.stdout.fnmatch_lines(["uno_manager*", "*The `AsyncManager` of this test*"])
    assert not project.lines_with(result, "_uno_guard")
    result = project.run(None, "--setup-plan")
    assert result.ret == 0
    result = project.run(None, "--setup-show")
    assert project.outcomes(result) == {"passed": 2}
