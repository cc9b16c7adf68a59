"""Laws of the shutdown: everything is attempted, newest first, and every error comes out once."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_uno.core.async_manager import AsyncManager
from tests.core.jumping_loop import run

BEHAVIOURS = ("sync", "async", "sync error", "async error", "slow", "hang", "cancelled")


class Recorded:
    """A hook, closer or task that notes its start and then behaves as it is told."""

    def __init__(self, kind: str, number: int, behaviour: str, started: list[tuple[str, int]]) -> None:
        self.key = (kind, number)
        self.behaviour = behaviour
        self.error = ValueError(kind, number)
        self._started = started

    @property
    def fails(self) -> bool:
        return self.behaviour in {"sync error", "async error", "hang", "cancelled"}

    def __call__(self) -> Any:
        self._started.append(self.key)
        if self.behaviour == "sync error":
            raise self.error
        return None if self.behaviour == "sync" else self._continue()

    async def _continue(self) -> None:
        await asyncio.sleep(3 if self.behaviour == "slow" else 0)
        if self.behaviour == "async error":
            raise self.error
        if self.behaviour == "hang":
            await asyncio.Event().wait()
        if self.behaviour == "cancelled":
            raise asyncio.CancelledError


@settings(deadline=None)
@given(
    hooks=st.lists(st.sampled_from(BEHAVIOURS), max_size=5),
    resources=st.lists(st.sampled_from(BEHAVIOURS), max_size=5),
    limit=st.sampled_from([0.0, 1.0, 30.0, 1000.0]),
    cancellations=st.integers(0, 3),
    loop_passes=st.integers(0, 12),
)
def test_every_hook_and_closer_is_started_newest_first_whatever_happens(
    hooks: list[str], resources: list[str], limit: float, cancellations: int, loop_passes: int
) -> None:
    started: list[tuple[str, int]] = []
    made = [Recorded("hook", number, behaviour, started) for number, behaviour in enumerate(hooks)]
    made_resources = [Recorded("resource", n, behaviour, started) for n, behaviour in enumerate(resources)]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: None)
        manager = AsyncManager(close_timeout=5)
        for hook in made:
            manager.add_shutdown_hook(hook)
        for resource in made_resources:
            await manager.register_resource(resource, str(resource.key), close=resource)
        task = asyncio.create_task(manager.shutdown(timeout=limit))
        await asyncio.sleep(0)
        for _ in range(cancellations):
            for _ in range(loop_passes):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait((task,))
        assert manager.closed
        assert not manager.resources
        assert loop.time() <= limit
        errors = [error for error in manager.errors if isinstance(error, ValueError)]
        raised = [
            each.error for each in (*reversed(made), *reversed(made_resources)) if "error" in each.behaviour
        ]
        assert errors == raised
        if (
            cancellations == 0 and limit == 1000.0 and "hang" not in hooks
        ):  # nobody can be late on its account
            failing = [each for each in (*made, *made_resources) if each.fails]
            assert len(manager.errors) == len(failing)
        if not task.cancelled():
            exception = task.exception()
            assert (exception is None) == (not manager.errors)

    run(main())
    assert started == [each.key for each in (*reversed(made), *reversed(made_resources))]


@settings(deadline=None)
@given(
    plan=st.lists(st.sampled_from(["returns", "fails", "fails when cancelled", "waits"]), max_size=8),
    awaited=st.sets(st.integers(0, 7)),
)
def test_every_failure_is_raised_exactly_once(plan: list[str], awaited: set[int]) -> None:
    async def work(behaviour: str, error: Exception) -> None:
        if behaviour == "fails":
            raise error
        if behaviour != "returns":
            try:
                await asyncio.Event().wait()
            finally:
                if behaviour == "fails when cancelled":
                    raise error

    async def main() -> None:
        manager = AsyncManager(on_task_error=lambda task, exc: None)
        errors = [ValueError(number) for number in range(len(plan))]
        awaited_errors: list[BaseException] = []

        for number, behaviour in enumerate(plan):
            task = manager.create_task(work(behaviour, errors[number]))
            if number in awaited and behaviour in {"fails", "returns"}:
                awaited_errors += [e for e in await asyncio.gather(task, return_exceptions=True) if e]
        for _ in range(3):
            await asyncio.sleep(0)
        raised: list[BaseException] = []
        try:
            await manager.shutdown()
        except ExceptionGroup as caught:
            raised += caught.exceptions
        expected = [errors[n] for n, behaviour in enumerate(plan) if "fails" in behaviour]
        assert sorted([*raised, *awaited_errors], key=repr) == sorted(expected, key=repr)

    run(main())
