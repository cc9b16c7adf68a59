"""Fixtures of a uno test: their loop, their owner, and one task for the life of each async generator.

pytest-asyncio runs the two halves of an async generator fixture in two tasks. A task group, a cancel scope or a
timeout that is open across the `yield` then belongs to a task that has ended: it cannot be left properly, and when it
fires nobody notices (pytest-asyncio issue 1191, anyio issue 74). Here one *host task* enters the generator, waits
while the tests run, and leaves it. When it fails meanwhile, the running test is stopped at once and told which fixture
crashed, instead of waiting for something that will never come (pytest-asyncio issue 1083).
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_uno.harness.asyncio_internals import give_up_task
from pytest_uno.harness.context_changes import apply_context_changes
from pytest_uno.harness.light_runner import refuse_running_loop
from pytest_uno.harness.loop_scopes import is_async_function, loop_scope_of_fixture
from pytest_uno.harness.marker import is_sync_test_in_auto_mode
from pytest_uno.harness.pytest_internals import (
    RUNNER_MODULE,
    forget_failed_setup,
    is_set_anew_for_each_test,
    mark_async_fixture,
    requesting_item,
    resolve_fixture,
    runner_fixture_name,
    substitute_fixture_function,
    test_loop_scope,
    unmark_async_fixture,
)
from pytest_uno.harness.run_state import FixtureCrash, RunState, is_judged, is_uno_test
from pytest_uno.harness.xunit_methods import make_async_xunit_fixture
from pytest_uno.leaks.owners import OWNER, Owner

__all__ = ["AsyncFixtures"]

_HARNESS = __name__.rpartition(".")[0] + "."


class AsyncFixtures:
    """The plugin object around the set-up of every fixture."""

    def __init__(self, run: RunState) -> None:
        self._run = run
        self._owners: dict[pytest.FixtureDef[Any], Owner] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, Any]:
        """Set up a fixture under its owner; an async one also gets its loop, its flags and its host task."""
        __tracebackhide__ = True
        func = fixturedef.func
        module = func.__module__ or ""  # a bound method of a builtin type has none
        if module == RUNNER_MODULE or module.startswith(_HARNESS):
            return (yield)  # the guard begins in there, and the owner it sets must stay
        item = requesting_item(request)
        of_pytest = func
        if is_uno_test(item):
            func = make_async_xunit_fixture(fixturedef, request) or func
        is_ours = is_async_function(func) and (is_uno_test(item) or is_sync_test_in_auto_mode(item))
        if is_ours:
            try:
                refuse_running_loop()
            except RuntimeError:
                forget_failed_setup(fixturedef)
                raise
        owner = self._begin_ownership(fixturedef, func, item)
        token = OWNER.set(owner)
        before = None if owner is None or is_ours else contextvars.copy_context()
        flags = None
        if is_ours:
            test_scope = test_loop_scope(item) if is_uno_test(item) else "function"
            scope = loop_scope_of_fixture(fixturedef, test_scope)
            flags = mark_async_fixture(func, scope)
            if func is not of_pytest:
                substitute_fixture_function(fixturedef, func)
            if inspect.isasyncgenfunction(func):
                substitute_fixture_function(
                    fixturedef, _live_in_one_task(self._run, fixturedef, request, scope)
                )
        is_wider = fixturedef.scope != "function"
        begin_clock, end_clock = self._run.shared_clocks.keep_for_teardown() if is_wider else (None, None)
        if end_clock is not None:
            request.addfinalizer(end_clock)
        begin_teardown = _own_teardown(request, owner)
        try:
            result = yield
        except BaseException:
            forget_failed_setup(fixturedef)
            raise
        finally:
            if owner is not None and before is not None and not is_set_anew_for_each_test(fixturedef):
                self._run.detection.contexts.note_set_up(owner, func, before)
            OWNER.reset(token)
            if flags is not None:
                substitute_fixture_function(fixturedef, of_pytest)
                unmark_async_fixture(flags)
        request.addfinalizer(begin_teardown)
        if begin_clock is not None:
            request.addfinalizer(begin_clock)
        if owner is not None and is_wider:
            self._run.detection.retain(owner, result)
        return result

    def _begin_ownership(
        self, fixturedef: pytest.FixtureDef[Any], func: Callable[..., Any], item: pytest.Item
    ) -> Owner | None:
        """Make the owner of what a fixture leaves; None for a fixture of a test that is not judged."""
        is_function_scoped = fixturedef.scope == "function"
        if is_function_scoped and not is_judged(item):
            return None
        file, line = self._place_of(func)
        owner = Owner("fixture", fixturedef.argname, scope=fixturedef.scope, file=file, line=line)
        self._owners[fixturedef] = owner
        if is_function_scoped and self._run.test is not None:
            self._run.test.fixture_owners.append(owner)
        return owner

    def _place_of(self, func: Callable[..., Any]) -> tuple[str | None, int | None]:
        code = getattr(inspect.unwrap(func), "__code__", None)
        if code is None:
            return None, None
        path = Path(code.co_filename)
        root = self._run.config.rootpath
        return (
            path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
        ), code.co_firstlineno

    @pytest.hookimpl(trylast=True)
    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """End the ownership: from here on, what the fixture left is judged."""
        owner = self._owners.pop(fixturedef, None)
        if owner is not None:
            owner.ended = True
            self._run.detection.release(owner)


def _own_teardown(request: pytest.FixtureRequest, owner: Owner | None) -> Callable[[], None]:
    """Have a fixture's teardown run under its owner.

    Finalizers run last in, first out: the one added here ends the ownership after the fixture's own ones.

    Returns:
        What begins the ownership; must be added as a finalizer when the set-up is over.
    """
    tokens: list[contextvars.Token[Owner | None]] = []

    def begin() -> None:
        tokens.append(OWNER.set(owner))

    def end() -> None:
        if tokens:
            OWNER.reset(tokens.pop())

    request.addfinalizer(end)
    return begin


def _live_in_one_task(
    run: RunState, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest, loop_scope: str
) -> Callable[..., Iterator[Any]]:
    """Make a sync generator fixture of an async one: its generator lives in one host task."""
    bound = resolve_fixture(fixturedef, request)
    name = fixturedef.argname

    def fixture(**kwargs: Any) -> Iterator[Any]:
        __tracebackhide__ = True
        runner = request.getfixturevalue(runner_fixture_name(loop_scope))
        host = _FixtureHost(run, name, runner.get_loop(), bound(**kwargs))
        value = host.enter(runner)
        restore = apply_context_changes(host.context)
        try:
            yield value
        finally:
            host.leave(runner)
            if restore is not None:
                restore()

    mark_async_fixture(
        fixture, loop_scope
    )  # pytest-asyncio then sees to the loop and to the order of teardown
    return fixture


class _FixtureHost:
    """The task that an async generator fixture lives in."""

    def __init__(
        self, run: RunState, name: str, loop: asyncio.AbstractEventLoop, generator: AsyncGenerator[Any, None]
    ) -> None:
        self._run = run
        self._name = name
        self._loop = loop
        self._generator = generator
        self._ready: asyncio.Future[Any] = loop.create_future()
        self._stop: asyncio.Future[None] = loop.create_future()
        self._is_leaving = False
        self._crashed = False
        self.context = contextvars.copy_context()
        self._task = loop.create_task(self._live(), name=f"fixture {name}", context=self.context)
        run.host_tasks.add(self._task)
        run.detection.exempt_task(self._task)

    def enter(self, runner: Any) -> Any:
        """Run the fixture up to its `yield` and return the value."""
        __tracebackhide__ = True
        runner.run(self._wait(self._ready))
        if not self._ready.done():
            self._ready.cancel()
            return self._task.result()  # raises what the set-up raised
        self._task.add_done_callback(self._on_end)
        return self._ready.result()

    def leave(self, runner: Any) -> None:
        """Run the fixture from its `yield` to its end; raises what it raised."""
        __tracebackhide__ = True
        self._is_leaving = True
        if self._loop.is_closed():
            give_up_task(self._task)
        else:
            if not self._stop.done():
                self._stop.set_result(None)
            runner.run(self._wait())
        if self._task.done() and not self._crashed and not self._task.cancelled():
            self._task.result()

    async def _live(self) -> None:
        __tracebackhide__ = True
        generator = self._generator
        value = await anext(generator)
        self._ready.set_result(value)
        del value
        try:
            await self._stop
        except asyncio.CancelledError as cancelled:
            # A cancel scope or task group that the fixture holds open has fired: it must see the cancellation.
            try:
                await generator.athrow(cancelled)
            except StopAsyncIteration:
                raise cancelled from None
            raise self._yielded_twice() from None
        try:
            await anext(generator)
        except StopAsyncIteration:
            return
        raise self._yielded_twice()

    def _yielded_twice(self) -> ValueError:
        return ValueError(f"async generator fixture {self._name!r} yielded more than once")

    async def _wait(self, *also: asyncio.Future[Any]) -> None:
        __tracebackhide__ = True
        self._run.setup_task = asyncio.current_task()
        try:
            await asyncio.wait((self._task, *also), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._task.cancel()
            if not self._stop.done():
                self._stop.set_result(None)  # a set-up that swallows it and yields is torn down at once
            await asyncio.wait((self._task,))
            if self._task.cancelled():
                self._task.result()  # raises the same, from the line of the fixture that was stopped
            raise
        finally:
            self._run.setup_task = None

    def _on_end(self, task: asyncio.Task[Any]) -> None:
        """Stop the running test when its fixture crashes."""
        test = self._run.test
        if self._is_leaving or task.cancelled() or test is None or (error := task.exception()) is None:
            return
        self._crashed = True
        test.crash = FixtureCrash(self._name, error)
        for other in asyncio.all_tasks(self._loop):
            if other not in self._run.host_tasks and self._run.detection.owner_of(other) is test.owner:
                other.cancel(f"fixture {self._name} crashed")
