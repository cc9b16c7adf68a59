"""The function-scoped runner: loop, context, interrupts, and an end that leaves nothing."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import signal
import threading
from collections.abc import AsyncGenerator, Iterator

import pytest

from pytest_uno.harness.light_runner import LightRunner

VAR: contextvars.ContextVar[str] = contextvars.ContextVar("VAR", default="outside")


@pytest.fixture
def runner() -> Iterator[LightRunner]:
    runner = LightRunner()
    yield runner
    runner.close()


@pytest.fixture(autouse=True)
def python_handles_sigint() -> Iterator[None]:
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs inherit SIG_IGN
    yield
    signal.signal(signal.SIGINT, previous)


async def return_what(what: object) -> object:
    await asyncio.sleep(0)
    return what


def test_results_and_errors_come_out(runner: LightRunner) -> None:
    assert runner.run(return_what("result")) == "result"

    async def fail() -> None:
        raise LookupError("from within")

    with pytest.raises(LookupError, match="from within"):
        runner.run(fail())


def test_every_run_is_on_the_loop_that_it_shows_and_sets(runner: LightRunner) -> None:
    async def get_loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    assert runner.run(get_loop()) is runner.run(get_loop()) is runner.get_loop()
    assert asyncio.get_event_loop() is runner.get_loop()


def test_the_context_is_copied_unless_one_is_passed(runner: LightRunner) -> None:
    async def change() -> None:
        VAR.set("inside")

    runner.run(change())
    assert VAR.get() == "outside"
    context = contextvars.copy_context()
    runner.run(change(), context=context)
    assert context[VAR] == "inside"
    assert VAR.get() == "outside"


@pytest.mark.parametrize("debug", [True, False])
def test_debug_mode_is_set_when_it_is_given(debug: bool) -> None:
    def make_loop() -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        loop.set_debug(not debug)
        return loop

    runner = LightRunner(debug=debug, loop_factory=make_loop)
    assert runner.get_loop().get_debug() is debug
    runner.close()
    runner = LightRunner(loop_factory=make_loop)
    assert runner.get_loop().get_debug() is not debug
    runner.close()


def test_a_loop_inside_a_loop_is_refused_with_the_fix(runner: LightRunner) -> None:
    inner = return_what("never")

    async def nest() -> None:
        runner.run(inner)

    with pytest.raises(RuntimeError, match="while the event loop is running") as caught:
        asyncio.run(nest())
    assert "fix: " in str(caught.value)
    assert str(caught.value).endswith("#fixture-in-running-loop")
    assert inspect.getcoroutinestate(inner) == inspect.CORO_CLOSED  # no warning that it was never awaited


def test_the_first_interrupt_cancels_so_that_finally_blocks_run(runner: LightRunner) -> None:
    steps: list[str] = []

    async def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("cleaned up")

    with pytest.raises(KeyboardInterrupt):
        runner.run(interrupted())
    assert steps == ["cleaned up"]
    assert runner.run(return_what("usable")) == "usable"


def test_the_second_interrupt_does_not_wait(runner: LightRunner) -> None:
    steps: list[str] = []

    async def does_not_listen() -> None:
        signal.raise_signal(signal.SIGINT)
        steps.append("went on")
        signal.raise_signal(signal.SIGINT)
        steps.append("never")

    with pytest.raises(KeyboardInterrupt):
        runner.run(does_not_listen())
    assert steps == ["went on"]


def test_each_run_has_a_first_interrupt_of_its_own(runner: LightRunner) -> None:
    async def swallows() -> str:
        signal.raise_signal(signal.SIGINT)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "swallowed"
        return "never"

    assert runner.run(swallows()) == "swallowed"
    assert runner.run(swallows()) == "swallowed"


def test_an_interrupt_between_two_runs_is_raised_at_once(runner: LightRunner) -> None:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert runner.run(return_what("usable")) == "usable"


@pytest.mark.parametrize("also_interrupted", [False, True])
def test_a_cancellation_that_is_not_the_interrupt_stays_one(
    runner: LightRunner, also_interrupted: bool
) -> None:
    async def cancels_itself() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if also_interrupted:
            signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        runner.run(cancels_itself())


def test_sigint_is_handled_from_construction_to_close() -> None:
    runner = LightRunner()
    assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    runner.close()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_the_user_is_left_alone() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    runner = LightRunner()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    runner.close()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_thread_leaves_sigint_alone() -> None:
    seen: list[object] = []

    def use_runner() -> None:
        runner = LightRunner()
        seen.extend([signal.getsignal(signal.SIGINT), runner.run(return_what("result"))])
        runner.close()

    thread = threading.Thread(target=use_runner)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler, "result"]


def test_close_ends_tasks_generators_and_the_executor() -> None:
    runner = LightRunner()
    steps: list[str] = []
    started: list[AsyncGenerator[int, None]] = []
    tasks: list[asyncio.Task[None]] = []
    threads: list[threading.Thread] = []

    async def generate() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            steps.append("generator")

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("task")

    async def leave_things() -> None:
        started.append(generate())
        await anext(started[0])
        tasks.append(asyncio.create_task(wait()))
        threads.append(await asyncio.get_running_loop().run_in_executor(None, threading.current_thread))
        await asyncio.sleep(0)

    runner.run(leave_things())
    assert threads[0].is_alive()
    runner.close()
    assert steps == ["task", "generator"]
    assert tasks[0].cancelled()
    assert not threads[0].is_alive()
    assert runner.get_loop().is_closed()


def test_close_of_a_closed_loop_gives_sigint_back() -> None:
    runner = LightRunner()
    runner.get_loop().close()
    runner.close()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
