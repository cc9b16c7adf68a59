"""The watchdog's thread by itself: one thread, one budget at a time, and an end on every platform."""

from __future__ import annotations

import _thread
import asyncio
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_uno.harness import watchdog as module
from pytest_uno.harness.watchdog import HangError, Watch, Watchdog

FOREVER = 3600.0
SOON = 0.0
LIMIT = 10.0  # real seconds after which a test that waits for the thread gives up


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    watchdog = Watchdog()
    yield watchdog
    watchdog.close()


class Calls:
    """Stands for a function of the platform, and remembers its calls."""

    def __init__(self) -> None:
        self.sent: list[object] = []

    def send(self, *what: object) -> str:
        self.sent.append(what)
        return "previous handler"


def watch(seconds: float, loop: asyncio.AbstractEventLoop | None = None, **options: Any) -> Watch:
    return Watch(
        options.get("what", "the test"),
        seconds,
        options.get("find_loop", lambda: loop),
        options.get("tasks", lambda: ()),
        lambda _task: None,
    )


def fired(watch: Watch, *, condition: Callable[[Watch], bool] = lambda watch: watch.fired) -> bool:
    """Wait until the thread has seen to it, for a limited time."""
    waited = threading.Event()
    for _ in range(int(LIMIT / 0.001)):
        if condition(watch):
            return True
        waited.wait(0.001)
    return False


def test_close_ends_the_thread() -> None:
    watchdog = Watchdog()
    thread = watchdog._thread
    assert thread.is_alive()
    assert thread.daemon
    watchdog.close()
    assert not thread.is_alive()


def test_close_ends_a_thread_that_waits_for_a_deadline() -> None:
    watchdog = Watchdog()
    watchdog.start(watch(FOREVER))
    watchdog.stop()
    watchdog.close()
    assert not watchdog._thread.is_alive()


def test_an_earlier_deadline_wakes_the_thread(watchdog: Watchdog) -> None:
    late = watch(FOREVER)
    watchdog.start(late)
    assert fired(late, condition=lambda _: watchdog._wakes_at == late.deadline)
    watchdog.stop()
    early = watch(SOON)
    watchdog.start(early)
    assert fired(early)
    watchdog.stop()
    assert not late.fired


def test_a_later_deadline_lets_the_thread_sleep(watchdog: Watchdog, monkeypatch: pytest.MonkeyPatch) -> None:
    first = watch(FOREVER)
    watchdog.start(first)
    assert fired(first, condition=lambda _: watchdog._wakes_at == first.deadline)
    watchdog.stop()
    woken: list[int] = []
    monkeypatch.setattr(watchdog._changed, "notify", lambda: woken.append(1))
    watchdog.start(watch(2 * FOREVER))
    watchdog.stop()
    assert woken == []
    watchdog.start(watch(FOREVER / 2))
    watchdog.stop()
    assert woken == [1]


def test_stop_without_start_is_harmless(watchdog: Watchdog) -> None:
    watchdog._previous_handler = signal.SIG_DFL
    watchdog.stop()
    budget = watch(SOON)
    watchdog.start(budget)
    assert fired(budget)
    watchdog.stop()


def test_a_watch_that_was_stopped_in_time_never_fires(watchdog: Watchdog) -> None:
    first = watch(FOREVER)
    watchdog.start(first)
    watchdog.stop()
    second = watch(SOON)
    watchdog.start(second)
    assert fired(second)
    watchdog.stop()
    assert first.done.is_set()
    assert not first.fired


def test_the_loop_is_asked_to_cancel(watchdog: Watchdog) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    loop = asyncio.new_event_loop()
    task = loop.create_task(hang())
    budget = watch(SOON, loop, what="the test test_hang", tasks=lambda: [task])
    watchdog.start(budget)
    with pytest.raises(asyncio.CancelledError, match="real_timeout"):
        loop.run_until_complete(task)
    watchdog.stop()
    loop.close()
    message = str(budget.error())
    assert message.startswith("the test test_hang was still running after 0 s of real time")
    assert "hang" in message.split("the tasks, and who waits for whom:")[1]
    assert isinstance(budget.error(), HangError)


def test_a_cancellation_that_comes_too_late_does_nothing() -> None:
    loop = asyncio.new_event_loop()
    asked: list[str] = []

    def tasks() -> list[asyncio.Task[Any]]:
        asked.append("tasks")
        return []

    budget = watch(SOON, loop, tasks=tasks)
    budget.fire()
    loop.run_until_complete(asyncio.sleep(0))
    assert asked == ["tasks"]
    budget.fire()
    budget.done.set()
    loop.run_until_complete(asyncio.sleep(0))
    assert asked == ["tasks"]
    loop.close()


@pytest.mark.parametrize("kind", ["closed", "none"])
def test_without_a_usable_loop_there_is_still_a_picture(kind: str) -> None:
    loop: asyncio.AbstractEventLoop | None = None
    if kind == "closed":
        loop = asyncio.new_event_loop()
        loop.close()
    budget = watch(2.5, loop)
    thread = threading.Thread(target=budget.fire)  # the picture is of the main thread, from another one
    thread.start()
    thread.join()
    assert budget.fired
    assert "still running after 2.5 s" in budget.message
    assert "the main thread:" in budget.message
    assert "test_without_a_usable_loop" in budget.message


def test_without_a_frame_of_the_main_thread_the_picture_has_no_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "current_frames", dict)
    budget = watch(SOON)
    budget.fire()
    assert "the main thread:\n\n" in budget.message


def test_the_frames_of_the_runner_are_left_out() -> None:
    frames = [
        traceback.FrameSummary("C:\\site\\_pytest\\python.py", 1, "runner"),
        traceback.FrameSummary("/lib/asyncio/base_events.py", 2, "loop"),
        traceback.FrameSummary("/app/asyncio/queues.py", 3, "own"),
        traceback.FrameSummary("/app/test_it.py", 4, "test_it"),
    ]
    shown = module._user_part(traceback.StackSummary.from_list(frames))
    assert [frame.name for frame in shown] == ["own", "test_it"]
    shown = module._user_part(traceback.StackSummary.from_list(frames[2:]))
    assert [frame.name for frame in shown] == ["own", "test_it"]


@pytest.mark.parametrize("platform", ["posix", "windows"])
def test_what_does_not_listen_is_interrupted_again_and_again(
    monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    signals, installed = Calls(), Calls()
    monkeypatch.setattr(module, "_STEP", 0.001)
    if platform == "posix":
        monkeypatch.setattr(module, "_SIGNAL", 77)
        fake = SimpleNamespace(
            pthread_kill=signals.send,
            signal=installed.send,
        )
        monkeypatch.setattr(module, "signal", fake)
    else:
        monkeypatch.setattr(module, "_SIGNAL", None)
        monkeypatch.setattr(_thread, "interrupt_main", signals.send)
    watchdog = Watchdog()
    budget = watch(SOON)
    watchdog.start(budget)
    try:
        assert fired(budget, condition=lambda _: len(signals.sent) > 1)
    finally:
        watchdog.stop()
        watchdog.close()  # it has stopped sending before the platform's own function is back
    if platform == "posix":
        assert signals.sent[:2] == [(threading.main_thread().ident, 77)] * 2
        assert installed.sent == [(77, watchdog._raise), (77, "previous handler")]
    else:
        assert signals.sent[:2] == [(), ()]
        assert installed.sent == []


def test_the_signal_raises_only_for_a_watch_that_fired(watchdog: Watchdog) -> None:
    watchdog._raise(0, None)
    budget = watch(FOREVER)
    watchdog._watch = budget
    watchdog._raise(0, None)
    budget.fire()
    with pytest.raises(HangError, match="still running"):
        watchdog._raise(0, None)
    budget.done.set()
    watchdog._raise(0, None)
    watchdog._watch = None


def test_the_next_watch_survives_the_end_of_a_fired_one(
    watchdog: Watchdog, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung, following = watch(SOON), watch(FOREVER)
    monkeypatch.setattr(module, "_SIGNAL", None)
    hung.done.set()
    watchdog._watch = following
    watchdog._stop_test(hung)
    assert watchdog._watch is following
    following.done.set()
    watchdog._stop_test(following)
    assert watchdog._watch is None


def test_no_signal_is_sent_when_the_test_ends_just_then(
    watchdog: Watchdog, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = Calls()
    monkeypatch.setattr(watchdog, "_interrupt", sent.send)

    class EndsJustThen(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            if self.is_set():
                return True
            self.set()
            return False

    budget = watch(SOON)
    budget.done = EndsJustThen()
    watchdog.start(budget)
    assert fired(budget, condition=lambda _: watchdog._watch is None)
    assert sent.sent == []


def test_a_test_outside_of_the_main_thread_is_not_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Calls()
    monkeypatch.setattr(module, "_STEP", 0.001)
    monkeypatch.setattr(_thread, "interrupt_main", sent.send)
    if hasattr(signal, "pthread_kill"):
        monkeypatch.setattr(signal, "pthread_kill", sent.send)
    seen: list[bool] = []

    def run_test() -> None:
        watchdog = Watchdog()
        budget = watch(SOON)
        insisted = Calls()

        def interrupt() -> None:
            Watchdog._interrupt(watchdog)
            insisted.send()

        monkeypatch.setattr(watchdog, "_interrupt", interrupt)
        watchdog.start(budget)
        seen.append(fired(budget, condition=lambda _: len(insisted.sent) > 1))
        watchdog.stop()
        watchdog.close()

    thread = threading.Thread(target=run_test)
    thread.start()
    thread.join()
    assert seen == [True]
    assert sent.sent == []
