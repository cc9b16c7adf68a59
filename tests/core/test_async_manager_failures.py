"""Tasks of an AsyncManager that fail."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import Any

import pytest

from pytest_uno.core.async_manager import AsyncManager, get_async_manager
from pytest_uno.core.errors import UnoError
from tests.core.coroutines import fail, hang, passes
from tests.core.jumping_loop import in_jumping_loop


@in_jumping_loop
async def test_an_unseen_failure_is_reported_once_one_pass_later_and_raised_at_shutdown() -> None:
    seen: list[tuple[asyncio.Task[Any], BaseException]] = []
    manager = AsyncManager("app", on_task_error=lambda task, exc: seen.append((task, exc)))
    error = ValueError("boom")
    task = manager.create_task(fail(error), name="worker")
    while not task.done():
        await asyncio.sleep(0)
    assert seen == []
    await passes()
    assert seen == [(task, error)]
    assert manager.failures == (task,)
    with pytest.raises(ExceptionGroup, match="errors while shutting down manager 'app'") as caught:
        await manager.shutdown()
    assert caught.value.exceptions == (error,) == manager.errors
    assert "in task 'worker' of 'app'" in error.__notes__
    assert len(seen) == 1
    assert not manager.failures


@in_jumping_loop
async def test_a_failure_that_somebody_awaited_is_never_raised_again() -> None:
    seen: list[object] = []
    manager = AsyncManager(on_task_error=lambda *args: seen.append(args))
    with pytest.raises(ValueError):
        await manager.create_task(fail(ValueError()))
    results = await asyncio.gather(manager.create_task(fail(KeyError())), return_exceptions=True)
    assert isinstance(results[0], KeyError)
    looked_at = manager.create_task(fail(OSError()))
    looked_at.add_done_callback(lambda task: task.exception())
    await passes()
    assert seen == []
    assert not manager.failures
    await manager.shutdown()
    assert manager.errors == ()


@in_jumping_loop
async def test_a_handler_that_looks_at_the_task_has_dealt_with_it() -> None:
    manager = AsyncManager(on_task_error=lambda task, exc: task.exception())
    manager.create_task(fail(ValueError()))
    await passes()
    await manager.shutdown()


@in_jumping_loop
async def test_failures_are_logged_by_default(caplog: pytest.LogCaptureFixture) -> None:
    manager = AsyncManager("app")
    own = AsyncManager("own", logger=logging.getLogger("mine"))
    for each in (manager, own):
        each.create_task(fail(ValueError("boom")), name="worker")
    await passes()
    assert [(r.name, r.getMessage()) for r in caplog.records] == [
        ("pytest_uno", "task 'worker' of app failed and nobody awaits it"),
        ("mine", "task 'worker' of own failed and nobody awaits it"),
    ]
    assert caplog.records[0].exc_info is not None
    for each in (manager, own):
        with pytest.raises(ExceptionGroup):
            await each.shutdown()


@in_jumping_loop
async def test_a_failing_handler_reaches_the_exception_handler() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    manager = AsyncManager(on_task_error=lambda task, exc: 1 / 0)
    task = manager.create_task(fail(ValueError()))
    await passes()
    assert isinstance(reported[0]["exception"], ZeroDivisionError)
    assert task.exception() is not None
    await manager.shutdown()


@in_jumping_loop
async def test_cancelled_tasks_are_no_failures() -> None:
    seen: list[object] = []
    manager = AsyncManager(on_task_error=lambda *args: seen.append(args))
    manager.create_task(hang()).cancel()
    await passes()
    await manager.shutdown()
    assert seen == []


@in_jumping_loop
async def test_a_failure_after_the_shutdown_is_still_reported() -> None:
    seen: list[BaseException] = []
    manager = AsyncManager(on_task_error=lambda task, exc: seen.append(exc))

    async def end_and_fail() -> None:
        await manager.shutdown()
        raise ValueError("too late for the shutdown")

    task = manager.create_task(end_and_fail())
    await manager.wait_for_shutdown()
    while not task.done():
        await asyncio.sleep(0)
    await passes()
    assert [str(exc) for exc in seen] == ["too late for the shutdown"]
    assert not manager.failures
    assert task.exception() is seen[0]


@in_jumping_loop
async def test_a_base_exception_is_raised_as_the_cause_of_an_error() -> None:
    manager = AsyncManager("app", on_task_error=lambda task, exc: None)
    manager.create_task(fail(GeneratorExit("odd")))
    await passes()
    with pytest.raises(ExceptionGroup) as caught:
        await manager.shutdown()
    (error,) = caught.value.exceptions
    assert isinstance(error, UnoError)
    assert isinstance(error.__cause__, GeneratorExit)


def test_leaving_the_program_is_no_failure() -> None:
    managers: list[AsyncManager] = []

    async def main() -> None:
        managers.append(get_async_manager())
        managers[0].create_task(fail(SystemExit(3)))
        await hang()

    with pytest.raises(SystemExit):
        asyncio.run(main())
    assert managers[0].closed
    assert managers[0].errors == ()


@in_jumping_loop
async def test_at_most_a_thousand_failures_are_kept() -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    manager = AsyncManager(on_task_error=lambda task, exc: None)
    for number in range(1001):
        manager.create_task(fail(ValueError(number)))
    await passes(5)
    gc.collect()
    assert len(manager.failures) == 1000
    assert len(reported) == 1  # by asyncio, when the oldest task was dropped
    with pytest.raises(ExceptionGroup) as caught:
        await manager.shutdown()
    assert len(caught.value.exceptions) == 1000
