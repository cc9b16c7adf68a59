"""The hooks around one test: where the guard stands, what the watchdog watches, how wider loops end."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_uno.clock.virtual_loop import VirtualEventLoop
from pytest_uno.clock.wake_up_sockets import WakeUpSockets
from pytest_uno.clock.wall_clock import uninstall as uninstall_wall_clock
from pytest_uno.core.errors import compose_message
from pytest_uno.harness.asyncio_internals import cancel_all_tasks
from pytest_uno.harness.clock_turns import LOOP_FAILURES
from pytest_uno.harness.fixtures import CLOCK_FIXTURE, GUARD, GUARD_FIXTURE
from pytest_uno.harness.guard import TestGuard
from pytest_uno.harness.light_runner import PATIENCE, LightRunner
from pytest_uno.harness.loop_making import (
    LoopFactory,
    check_virtual_time,
    describe_factory,
    factory_of_own_loop,
    factory_of_shared_loop,
)
from pytest_uno.harness.loop_scopes import is_async_function
from pytest_uno.harness.marker import TestOptions
from pytest_uno.harness.pytest_internals import (
    POLICY_FIXTURE,
    RUNNER_MODULE,
    fixture_definitions,
    is_marked_async_fixture,
    leave_out_policy,
    loop_factory,
    mark_async_fixture,
    replace_phases,
    requesting_item,
    restore_phases,
    run_item,
    set_up_item,
    substitute_fixture_function,
    test_loop_scope,
    unmark_async_fixture,
    with_loop_factory,
)
from pytest_uno.harness.run_state import (
    FixtureCrashError,
    RunState,
    is_judged,
    is_uno_test,
    options_of,
)
from pytest_uno.harness.verdict import Verdicts
from pytest_uno.harness.watched_blocks import Watched
from pytest_uno.leaks.owners import Owner

if TYPE_CHECKING:
    from pytest_uno.harness.exploration_options import ExplorationOptions
    from pytest_uno.harness.explored_test import ExploredTest, ScheduleRunner

__all__ = ["TestRunner"]

_LIGHT_RUNNER: pytest.StashKey[LightRunner | ScheduleRunner] = pytest.StashKey()
_PLAIN_ASYNC_FIXTURES: pytest.StashKey[tuple[Callable[..., Any], ...]] = pytest.StashKey()


class TestRunner:
    """The plugin object around set-up, call and teardown of a test."""

    __test__ = False

    def __init__(self, run: RunState, verdicts: Verdicts) -> None:
        self._run = run
        self._verdicts = verdicts
        self._wake_up = WakeUpSockets()
        self._make_loop = functools.partial(VirtualEventLoop, wake_up=self._wake_up)
        config = run.config
        self._debug = bool(config.getoption("asyncio_debug", None)) or config.getini("asyncio_debug") in (
            True,
            "true",
        )

    # -- set-up
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        """Watch the set-up."""
        __tracebackhide__ = True
        is_ours = is_uno_test(item)
        self._run.shared_clocks.switch(self._run.settings.clock if is_ours else "real")
        # The budget of the run, here and in the teardown: a wider fixture may be built that knows no marker of it.
        seconds = self._run.settings.real_timeout if is_ours else 0.0
        try:
            if not seconds:
                return (yield)
            with Watched(self._run, item, "the set-up of the test", seconds):
                return (yield)
        except BaseException as error:
            if is_ours:
                self._explain_failure(item, error)
            raise

    @pytest.hookimpl(specname="pytest_runtest_setup", tryfirst=True)
    def pytest_runtest_setup_prepare(self, item: pytest.Item) -> None:
        """Give the test its guard.

        Not in the wrapper: it raises for an unusable marker, and pytest's own wrappers must have begun by then. The
        name needs the prefix (pytest issue 11307).
        """
        options = options_of(item)
        if options is None or not isinstance(item, pytest.Function):
            return
        if options.leak_levels.looks:
            self._run.detection.install()  # before wider fixtures are set up: they may leak, too
        self._run.databases.block()
        is_first_attempt = _PLAIN_ASYNC_FIXTURES not in item.stash
        if is_first_attempt:
            item.stash[_PLAIN_ASYNC_FIXTURES] = tuple(
                [
                    definitions[-1].func
                    for definitions in fixture_definitions(item).values()
                    if definitions and is_async_function(definitions[-1].func)
                ]
            )
        if options.exploration is not None:
            self._explore(item, options, options.exploration)
        elif self._has_light_runner(item):
            leave_out_policy(item)
            replace_phases(
                item,
                functools.partial(self._set_up_light, item, options),
                functools.partial(self._run_light, item),
            )
        elif is_first_attempt:
            self._place_guard(item)

    @staticmethod
    def _has_light_runner(item: pytest.Item) -> bool:
        policies = fixture_definitions(item).get(POLICY_FIXTURE, ())
        return len(policies) <= 1 and test_loop_scope(item) == "function"

    def _set_up_light(self, item: pytest.Function, options: TestOptions) -> None:
        """Make the loop and the guard before the fixtures; both end after the last of them."""
        __tracebackhide__ = True
        factory = loop_factory(item)
        is_virtual = options.clock == "virtual"
        runner = LightRunner(
            debug=self._debug,
            loop_factory=factory_of_own_loop(
                factory,
                needs_clock=is_virtual or CLOCK_FIXTURE in item.fixturenames,
                ours=self._make_loop,
            ),
        )
        if is_virtual:
            try:
                check_virtual_time(item, runner.get_loop(), describe_factory(factory))
            except BaseException:
                runner.close()
                raise
        guard = TestGuard(self._run, self._verdicts, item, options, runner, owns_loop=True)
        self._set_up_guarded(item, guard, runner, runner.close, own_runner=factory is None)

    def _set_up_guarded(
        self,
        item: pytest.Function,
        guard: TestGuard,
        runner: LightRunner | ScheduleRunner,
        close: Callable[[], None],
        *,
        own_runner: bool,
    ) -> None:
        __tracebackhide__ = True

        def end() -> None:
            try:
                self._end_guard(item, guard)
            finally:
                del item.stash[_LIGHT_RUNNER]
                close()

        item.stash[_LIGHT_RUNNER] = runner
        item.addfinalizer(end)
        self._begin_guard(item, guard)
        set_up_item(item, own_runner=own_runner)

    def _explore(self, item: pytest.Function, options: TestOptions, exploration: ExplorationOptions) -> None:
        """Let a test run in many schedules, each with a loop, a guard and fixtures of its own."""
        from pytest_uno.harness.explored_test import ExploredTest  # few tests need it

        if not self._has_light_runner(item):
            pytest.fail(
                compose_message(
                    f"{item.nodeid}: uno_async(schedules=...) needs a loop for each schedule",
                    cause="the test uses an async fixture that is wider than a test, or another event loop policy, and "
                    "runs on a shared loop",
                    fix="give the fixture function scope, or explore a scenario with the fixture uno_explore",
                    anchor="explore-shared-loop",
                ),
                pytrace=False,
            )

        def set_up(runner: ScheduleRunner, judge: ExploredTest) -> None:
            guard = TestGuard(self._run, judge, item, options, runner, owns_loop=True)
            self._set_up_guarded(item, guard, runner, _do_nothing, own_runner=True)

        leave_out_policy(item)
        explored = ExploredTest(
            self._run, self._verdicts, item, exploration, set_up=set_up, explain=self._explain_failure
        )
        replace_phases(item, explored.set_up, explored.call)

    def _run_light(self, item: pytest.Function) -> None:
        context = contextvars.copy_context()
        run = item.stash[_LIGHT_RUNNER].run
        run_item(item, lambda coro: run(coro, context=context))

    def _place_guard(self, item: pytest.Item) -> None:
        """Let the guard be the first function-scoped fixture."""
        definitions = fixture_definitions(item)
        names: list[str] = list(item.fixturenames)  # type: ignore[attr-defined]
        place = next(
            (
                index
                for index, name in enumerate(names)
                if name != "request" and definitions.get(name) and definitions[name][-1].scope == "function"
            ),
            len(names),
        )
        item.fixturenames = [*names[:place], GUARD_FIXTURE, *names[place:]]  # type: ignore[attr-defined]

    def guard(self, item: pytest.Item, runner: Any, *, owns_loop: bool) -> Iterator[None]:
        """Guard a test between the two halves of a fixture."""
        options = options_of(item)
        assert options is not None  # no other test is given the fixture
        if options.clock == "virtual":
            check_virtual_time(item, runner.get_loop(), describe_factory(loop_factory(item)))
        guard = TestGuard(self._run, self._verdicts, item, options, runner, owns_loop=owns_loop)
        self._begin_guard(item, guard)
        try:
            yield
        finally:
            self._end_guard(item, guard)

    @staticmethod
    def _begin_guard(item: pytest.Item, guard: TestGuard) -> None:
        item.stash[GUARD] = guard
        guard.begin()

    @staticmethod
    def _end_guard(item: pytest.Item, guard: TestGuard) -> None:
        del item.stash[GUARD]
        guard.end()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, Any]:
        """Let async fixtures find the light runner, and give wider runners a check before they close."""
        __tracebackhide__ = True
        func = fixturedef.func
        if func.__module__ != RUNNER_MODULE or not fixturedef.argname.endswith("_scoped_runner"):
            return (yield)
        item = requesting_item(request)
        if fixturedef.scope == "function":
            light = item.stash.get(_LIGHT_RUNNER, None)
            options = options_of(item) if is_uno_test(item) else None
            if light is not None:
                substitute_fixture_function(fixturedef, _returning(light))
            elif options is not None and (options.clock == "virtual" or CLOCK_FIXTURE in item.fixturenames):
                substitute_fixture_function(fixturedef, with_loop_factory(func, _for_uno))
            try:
                return (yield)
            finally:
                substitute_fixture_function(fixturedef, func)
        make = _for_uno if is_uno_test(item) else factory_of_shared_loop
        substitute_fixture_function(fixturedef, with_loop_factory(func, make))
        try:
            runner = yield
        finally:
            substitute_fixture_function(fixturedef, func)
        if isinstance(runner, asyncio.Runner):  # not so with --setup-plan
            self._run.shared_clocks.add(runner.get_loop())
            if self._run.settings.leak_levels.looks:
                self._run.detection.watch_loop(runner.get_loop())
            request.addfinalizer(lambda: self._check_wider_loop(runner, fixturedef.scope))
        return runner

    # -- call
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Watch the test, and say what really happened when it was cancelled from outside."""
        options = options_of(item)
        if options is None:
            return (yield)
        flags = [
            mark_async_fixture(func, "function")
            for func in item.stash[_PLAIN_ASYNC_FIXTURES]
            if not is_marked_async_fixture(
                func
            )  # or pytest-asyncio warns about plain fixtures in strict mode
        ]
        try:
            if not options.real_timeout:
                result = yield
            else:
                with Watched(self._run, item, "the test", options.real_timeout):
                    result = yield
            if self._run.test is not None and self._run.test.timed_out is not None:
                raise self._run.test.timed_out
            return result
        except BaseException as error:
            self._explain_failure(item, error)
            raise
        finally:
            test = self._run.test
            if test is not None and test.clock is not None:  # pragma: no branch - what is called was set up
                test.clock.disarm()
            for flag in flags:
                unmark_async_fixture(flag)

    def _explain_failure(self, item: pytest.Item, error: BaseException) -> None:
        """Say what really happened when a test or its set-up was stopped from outside, and how its time went.

        Raises:
            FixtureCrashError: a fixture of the test crashed.
            ClockTimeoutError: the test used up its time.
        """
        test = self._run.test
        if test is None:
            return
        if isinstance(error, LOOP_FAILURES):
            test.is_hung = True
        if not isinstance(error, pytest.skip.Exception) and test.clock is not None:
            holding = test.clock.describe_holding()
            if holding is not None:
                item.add_report_section("call", "uno clock", holding)
        if isinstance(error, asyncio.CancelledError):
            if test.crash is not None:
                raise FixtureCrashError(test.crash) from test.crash.error
            if test.timed_out is not None:
                test.is_hung = True
                raise test.timed_out.with_traceback(error.__traceback__) from None

    # -- teardown
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        """Mark the phase in which blame may be given; what no loop knew of is blamed last."""
        run = self._run
        run.teardown_item = item
        try:
            seconds = run.settings.real_timeout
            if seconds and is_uno_test(item):
                with Watched(self._run, item, "the teardown of the test", seconds):
                    result = yield
            else:
                result = yield
            self._verdicts.judge_fixtures(item, run.settings.leak_levels, run.detection.drain())
            return result
        finally:
            run.teardown_item = None
            if _PLAIN_ASYNC_FIXTURES in item.stash:
                restore_phases(item)
            if not is_judged(item):
                run.detection.note_unjudged()

    def _check_wider_loop(self, runner: asyncio.Runner, scope: str) -> None:
        """Judge a wider loop: its async fixtures are gone, and it is still open."""
        run = self._run
        if not runner.get_loop().is_closed():
            run.databases.leave_loop(runner.run)
        run.shared_clocks.remove(runner.get_loop())
        if run.teardown_item is None or not run.settings.leak_levels.looks or runner.get_loop().is_closed():
            return
        unknown = Owner("session", f"the {scope} loop", scope=scope)
        findings = run.detection.judge_loop(runner.get_loop(), default_owner=unknown)
        run.detection.unwatch_loop(runner.get_loop())
        cancel_all_tasks(runner.get_loop(), PATIENCE)  # the runner itself would wait for ever
        self._verdicts.judge_fixtures(run.teardown_item, run.settings.leak_levels, findings)

    def pytest_unconfigure(self) -> None:
        """End the watchdog's thread, take the detectors' hooks out, drop the databases."""
        self._wake_up.close()
        if self._run.watchdog is not None:
            self._run.watchdog.close()
        self._run.detection.remove()
        self._run.databases.close()
        uninstall_wall_clock()


def _for_uno(policy: Any, factory: LoopFactory | None) -> LoopFactory | None:
    return factory_of_shared_loop(policy, factory, is_for_uno=True)


def _returning(runner: LightRunner | ScheduleRunner) -> Callable[..., object]:
    def get_runner(**_: object) -> object:
        return runner

    return get_runner


def _do_nothing() -> None: ...
