"""Tasks that swallow their cancellation, in whole runs."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("collected")

PRELUDE = """
    import contextlib
    uno = pytest.mark.uno_async
    async def swallow():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
    async def cancel(task):
        await asyncio.sleep(0)
        task.cancel()
        await task
"""


@pytest.mark.parametrize("clock", ["virtual", "real"])
def test_a_test_that_swallows_is_warned_of(project: Any, clock: str) -> None:
    result = project.run(
        f"""{PRELUDE}
    @uno(clock="{clock}")
    async def test_leaks():
        await cancel(asyncio.create_task(swallow()))
    @uno
    async def test_innocent(): pass
    """
    )
    assert project.outcomes(result) == {"passed": 2, "warnings": 1}
    result.stdout.fnmatch_lines(
        [
            "*UnoLeakWarning: UNO103 *swallow() was cancelled*",
            "*created*in test_leaks",
            "*cancelled at*in cancel",
        ]
    )


@pytest.mark.parametrize("scope", ["function", "module", "session"])
def test_a_fixture_that_swallows_is_warned_of(project: Any, scope: str) -> None:
    result = project.run(
        f"""{PRELUDE}
    @pytest.fixture(scope="{scope}")
    async def worker():
        task = asyncio.create_task(swallow())
        yield task
        await cancel(task)
    @pytest.mark.uno_async(loop_scope="{scope}")
    async def test_uses(worker): pass
    @pytest.mark.uno_async(loop_scope="{scope}")
    async def test_uses_too(worker): pass
    """
    )
    warnings = 2 if scope == "function" else 1
    assert project.outcomes(result) == {"passed": 2, "warnings": warnings}
    result.stdout.fnmatch_lines(
        ["*UNO103 *swallow() was cancelled*", "*created*in worker", "*fixture*worker*"]
    )


def test_a_test_about_its_own_cancellation_is_left_alone(project: Any) -> None:
    result = project.run(
        f"""{PRELUDE}
    @uno
    async def test_cancels_itself():
        asyncio.current_task().cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)
    @pytest.fixture
    async def cancels_itself():
        asyncio.current_task().cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
    @uno
    async def test_uses(cancels_itself): pass
    @uno
    async def test_leaves_a_manager_to_stop(uno_manager):
        uno_manager.create_task(swallow())
        await asyncio.sleep(0)
    """,
        "-W",
        "error",
    )
    assert project.outcomes(result) == {"passed": 3}
