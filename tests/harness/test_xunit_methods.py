"""Async `setup_method` and its like."""

from __future__ import annotations

from typing import Any

import pytest


def test_each_pair_runs_on_the_loop_of_its_tests(project: Any) -> None:
    result = project.run(
        """
    events = []

    async def note(what):
        await asyncio.sleep(3600)
        events.append(what)

    async def setup_module(module):
        await note("setup_module " + module.__name__)

    async def teardown_module():
        await note("teardown_module")

    async def setup_function(function):
        await note("setup_function " + function.__name__)

    def teardown_function():
        events.append("teardown_function")

    @pytest.mark.uno_async
    async def test_function():
        events.append("test_function")

    @pytest.mark.uno_async
    class TestClass:
        @classmethod
        async def setup_class(cls):
            cls.loop_of_class = asyncio.get_running_loop()
            await note("setup_class " + cls.__name__)

        async def setup_method(self, method):
            self.loop = asyncio.get_running_loop()
            await note("setup_method " + method.__name__)

        async def teardown_method(self):
            assert asyncio.get_running_loop() is self.loop
            await note("teardown_method")

        async def test_one(self):
            assert asyncio.get_running_loop() is self.loop is self.loop_of_class
            events.append("test_one")

    @pytest.mark.uno_async
    async def test_last():
        assert events == [
            "setup_module test_it", "setup_function test_function", "test_function", "teardown_function",
            "setup_class TestClass", "setup_method test_one", "test_one", "teardown_method",
            "setup_function test_last",
        ]
    """
    )
    assert project.outcomes(result) == {"passed": 3}


def test_what_they_leave_is_named_with_their_line(project: Any) -> None:
    result = project.run(
        """
    @pytest.mark.uno_async
    class TestClass:
        async def setup_method(self):
            asyncio.create_task(asyncio.Event().wait())
            await asyncio.sleep(0)

        async def test_it(self): ...
    """
    )
    assert project.outcomes(result) == {"passed": 1, "errors": 1}
    result.stdout.fnmatch_lines(
        ["*created * test_it.py:7 in TestClass.setup_method", "*owner *setup_method*", "*test_it.py:6)*"]
    )


def test_what_they_raise_is_an_error_of_the_test(project: Any) -> None:
    result = project.run(
        """
    @pytest.mark.uno_async
    class TestClass:
        async def setup_method(self):
            raise LookupError("nothing there")

        async def teardown_method(self):
            raise AssertionError("not set up, so not torn down")

        async def test_it(self): ...

    @pytest.mark.uno_async
    class TestOther:
        async def teardown_method(self):
            raise LookupError("nothing left")

        async def test_it(self): ...
    """
    )
    assert project.outcomes(result) == {"passed": 1, "errors": 2}
    assert "not set up" not in result.stdout.str().replace('AssertionError("not set up', "")
    result.stdout.fnmatch_lines(["*LookupError: nothing there*", "*LookupError: nothing left*"])


@pytest.mark.parametrize("marker", ["", "@pytest.mark.uno_async"])
def test_sync_methods_are_left_to_pytest(project: Any, marker: str) -> None:
    result = project.run(
        f"""
    {marker}
    class TestClass:
        def setup_method(self):
            self.value = 1

        def test_sync(self):
            assert self.value == 1

        @pytest.mark.uno_async
        async def test_async(self):
            assert self.value == 1
    """
    )
    assert project.outcomes(result) == {"passed": 2}
