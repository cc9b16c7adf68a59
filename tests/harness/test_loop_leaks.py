"""Generators, timers, readers and loops that fixtures end, in whole runs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.leak_examples import LOOPS

pytestmark = pytest.mark.usefixtures("collected")


def test_fixtures_that_clean_up_are_silent(project: Any) -> None:
    result = project.run(
        f"""{LOOPS.prelude}
    @pytest.fixture(scope="module")
    async def generator():
        async with contextlib.aclosing(ticks()) as generator:
            await anext(generator)
            yield generator
    @pytest.fixture(scope="module")
    async def timer():
        loop, handles = asyncio.get_running_loop(), []
        def tick():
            handles[:] = [loop.call_later(0.005, tick)]
        tick()
        yield
        handles[0].cancel()
    @pytest.fixture(scope="module")
    async def reader():
        a, b = socket.socketpair()
        with a, b:
            asyncio.get_running_loop().add_reader(a, print)
            yield
            asyncio.get_running_loop().remove_reader(a)
    @pytest.fixture(scope="module")
    def loop_of_thread():
        import threading
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        yield loop
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    @uno
    @pytest.mark.parametrize("number", range(3))
    async def test_uses(number, generator, timer, reader, loop_of_thread):
        await anext(generator)
        await asyncio.sleep(0.02)
        future = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop_of_thread)
        await asyncio.wrap_future(future)
    """
    )
    assert project.outcomes(result) == {"passed": 3}
