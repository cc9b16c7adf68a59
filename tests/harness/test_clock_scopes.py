"""Loops that tests share: every test has its own clock on them, and fixtures the run's."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize("scope", ["session", "package", "module", "class"])
def test_virtual_and_real_tests_take_turns_on_one_loop(project: Any, scope: str) -> None:
    result = project.run(
        f"""
    import time

    loops = set()

    @pytest.mark.uno_async(loop_scope="{scope}")
    class TestIt:
        async def test_virtual(self, uno_clock):
            await self.sleep_an_hour(uno_clock)

        @pytest.mark.uno_async(clock="real")
        async def test_real(self, uno_clock):
            loops.add(asyncio.get_running_loop())
            assert not uno_clock.is_virtual
            begun = time.monotonic()
            await asyncio.sleep(0.02)
            assert time.monotonic() - begun > 0.019
            assert 0.019 < uno_clock.elapsed < 600

        async def test_virtual_again(self, uno_clock):
            await self.sleep_an_hour(uno_clock)

        @pytest.mark.uno_async(timeout=60)
        async def test_in_time(self):
            await asyncio.sleep(60)

        @pytest.mark.asyncio(loop_scope="{scope}")
        @pytest.mark.uno_async(False)
        async def test_plain(self):
            loop = asyncio.get_running_loop()
            loops.add(loop)
            assert not loop.clock.is_virtual
            begun = time.monotonic()
            await asyncio.sleep(0.02)
            assert time.monotonic() - begun > 0.019

        async def sleep_an_hour(self, uno_clock):
            loops.add(asyncio.get_running_loop())
            assert (uno_clock.elapsed, uno_clock.jumps, uno_clock.held) == (0, 0, 0)
            await asyncio.sleep(3600)
            assert uno_clock.elapsed == 3600

        def test_one_loop(self):
            assert len(loops) == 1
    """,
        "-W",
        "error",
    )
    assert project.outcomes(result) == {"passed": 6}


SHARED = """
    import time

    heartbeats = []

    @pytest.fixture(scope="session")
    async def database():
        heartbeats.append("built")
        loop = asyncio.get_running_loop()
        kind = "virtual" if loop.clock.is_virtual else "real"

        async def beat():
            while True:
                await asyncio.sleep(30)
                heartbeats.append(loop.time())

        async with asyncio.TaskGroup() as group:
            task = group.create_task(beat())
            yield loop, kind
            task.cancel()

    @pytest.mark.uno_async
    async def test_virtual(database, uno_clock):
        begun = len(heartbeats)
        await asyncio.sleep(100)
        assert uno_clock.elapsed == 100
        assert len(heartbeats) - begun == 3

    @pytest.mark.uno_async(clock="real")
    async def test_real(database, uno_clock):
        begun, now = len(heartbeats), time.monotonic()
        await asyncio.sleep(0.02)
        assert time.monotonic() - now > 0.019
        assert len(heartbeats) == begun
        assert database[0] is asyncio.get_running_loop()

    @pytest.mark.asyncio(loop_scope="session")
    async def test_plain(database):
        now = time.monotonic()
        await asyncio.sleep(0.02)
        assert time.monotonic() - now > 0.019
        assert database[0] is asyncio.get_running_loop()

    @pytest.mark.uno_async
    async def test_virtual_again(database, uno_clock):
        begun = len(heartbeats)
        await asyncio.sleep(100)
        assert uno_clock.elapsed == 100
        assert len(heartbeats) - begun in (3, 4)
        assert heartbeats.count("built") == 1

    @pytest.mark.uno_async
    async def test_kind(database):
        print("BUILT ON", database[1])
"""


@pytest.mark.parametrize(
    ("order", "flags", "built_on"),
    [
        ((), (), "virtual"),
        (("test_real", "test_virtual"), (), "virtual"),
        (("test_plain", "test_real", "test_virtual"), (), "real"),
        (("test_real",), ("--uno-clock=real",), "real"),
    ],
)
def test_one_session_fixture_serves_every_kind_of_test(
    project: Any, order: tuple[str, ...], flags: tuple[str, ...], built_on: str
) -> None:
    source = SHARED.replace("async def database", "async def database", 1)
    if "test_plain" in order:
        source = source.replace(
            '@pytest.fixture(scope="session")',
            'import pytest_asyncio\n    @pytest_asyncio.fixture(scope="session", loop_scope="session")',
        )
    names = (
        [*order, "test_kind"] if order else ["test_virtual", "test_real", "test_virtual_again", "test_kind"]
    )
    project.file("test_it.py", source)
    result = project.run(None, *(f"test_it.py::{name}" for name in names), "-s", "-W", "error", *flags)
    assert project.outcomes(result) == {"passed": len(names)}
    result.stdout.fnmatch_lines([f"*BUILT ON {built_on}*"])


def test_fixtures_of_every_scope_may_take_virtual_hours(project: Any) -> None:
    result = project.run(
        """
    import time

    begun = time.monotonic()

    def of(scope):
        @pytest.fixture(scope=scope)
        async def slow():
            await asyncio.sleep(3600)
            yield scope
            await asyncio.sleep(3600)
        return slow

    by_session, by_module, by_class, by_function = map(of, ("session", "module", "class", "function"))

    @pytest.fixture(scope="module")
    async def coroutine():
        await asyncio.sleep(3600)
        return "value"

    @pytest.mark.uno_async
    class TestIt:
        async def test_wide(self, by_session, by_module, by_class, by_function, coroutine, uno_clock):
            assert uno_clock.elapsed == 3600

        async def test_narrow(self, by_function, uno_clock):
            assert uno_clock.elapsed == 3600

        @pytest.mark.uno_async(clock="real")
        async def test_real(self, by_session, by_module, coroutine, uno_clock):
            assert uno_clock.elapsed < 600

    def test_all_of_it_took_no_time():
        assert time.monotonic() - begun < 600
    """,
        "-W",
        "error",
    )
    assert project.outcomes(result) == {"passed": 4}


def test_the_manager_closes_on_virtual_time(project: Any) -> None:
    result = project.run(
        """
    async def slow_to_end():
        try:
            await asyncio.sleep(10_000)
        finally:
            await asyncio.sleep(3)

    @pytest.mark.parametrize("n", [1, 2])
    @pytest.mark.uno_async(loop_scope="module")
    async def test_it(uno_manager, n):
        uno_manager.create_task(slow_to_end())
        await asyncio.sleep(0)
    """,
        "-W",
        "error",
    )
    assert project.outcomes(result) == {"passed": 2}
