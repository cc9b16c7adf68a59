"""Drive a coroutine step by step: count where it is suspended, and cancel its task there.

The task runs an object that stands for the coroutine. No loop is touched, so that any loop of asyncio will do, and a
picture of the task shows the coroutine alone.

Both moments of a cancellation are what other callbacks of the same loop can do:

* `wait`: `Task.cancel()` within the step that ends in the suspension takes effect when that step is over, and cancels
  what the task waits for, as a callback that is next in the queue would.
* `wake`: a callback of the awaited future that was added before the task's own is called before it. The future is
  done, so that the task gets a `CancelledError` in place of the result.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pytest_uno.clock.await_chain import await_links
from pytest_uno.explore.injection.asyncio_flaws import drops_cancellation
from pytest_uno.explore.injection.points import Point

__all__ = ["SteppedCoroutine", "Suspension"]


@dataclass(frozen=True, slots=True)
class Suspension:
    """One await at which the operation was suspended.

    Attributes:
        number: its number in the operation, from 1.
        is_bare: it awaits no future: `sleep(0)`.
        lines: code and line of each link, the innermost first.
    """

    number: int
    is_bare: bool
    lines: tuple[tuple[types.CodeType, int], ...]


class SteppedCoroutine(Coroutine[Any, Any, Any]):
    """Stands for a coroutine in a task; must be run by a task of asyncio.

    Args:
        coroutine: the coroutine.
        points: where to cancel the task.
        records_all: whether to remember each suspension, and not only those of the points.

    Attributes:
        count: how often the coroutine was suspended until now.
        suspensions: the suspensions that were remembered.
        delivered: the points at which the task was cancelled.
        own_cancels: how often the task was cancelled here.
        is_excused: what becomes of the cancellation is not the operation's doing: somebody else had cancelled the task
            before, or asyncio drops it.
    """

    def __init__(
        self, coroutine: Coroutine[Any, Any, Any], points: Sequence[Point] = (), *, records_all: bool = False
    ) -> None:
        self._coroutine = coroutine
        self._points = {point.number: point for point in points}
        self._records_all = records_all
        self._release: Callable[[], None] | None = None
        self.count = 0
        self.suspensions: list[Suspension] = []
        self.delivered: list[Point] = []
        self.own_cancels = 0
        self.is_excused = False

    @property
    def cr_await(self) -> object:
        """What the coroutine awaits."""
        return getattr(self._coroutine, "cr_await", None)

    @property
    def cr_frame(self) -> types.FrameType | None:
        """The coroutine's frame."""
        return cast("types.FrameType | None", getattr(self._coroutine, "cr_frame", None))

    @property
    def cr_code(self) -> types.CodeType | None:
        """The coroutine's code."""
        return cast("types.CodeType | None", getattr(self._coroutine, "cr_code", None))

    @property
    def cr_running(self) -> bool:
        """Whether the coroutine runs just now."""
        return bool(getattr(self._coroutine, "cr_running", False))

    def __await__(self) -> Generator[Any, Any, Any]:
        """Refuse to be awaited: only a task steps it."""
        raise RuntimeError("a stepped coroutine is run by a task")

    def send(self, value: Any) -> Any:
        """Go on with the coroutine, up to its next suspension."""
        __tracebackhide__ = True
        self._forget_awaited()
        return self._suspended(self._coroutine.send(value))

    def throw(self, *args: Any) -> Any:
        """Raise in the coroutine, and go on up to its next suspension."""
        __tracebackhide__ = True
        self._forget_awaited()
        return self._suspended(self._coroutine.throw(*args))

    def close(self) -> None:
        """Close the coroutine."""
        self._forget_awaited()
        self._coroutine.close()

    def _suspended(self, awaited: Any) -> Any:
        self.count += 1
        point = self._points.get(self.count)
        if point is not None or self._records_all:
            self._record(awaited)
        if point is not None:
            task = asyncio.current_task()
            assert task is not None, "only a task steps its coroutine"
            if point.moment == "wait" or awaited is None:
                self._cancel(task, point)
            else:
                self._cancel_when_done(awaited, task, point)
        return awaited

    def _record(self, awaited: Any) -> None:
        links = await_links(self._coroutine)
        lines = tuple((link.code, link.line) for link in reversed(links))
        self.suspensions.append(Suspension(self.count, awaited is None, lines))

    def _cancel(self, task: asyncio.Task[Any], point: Point) -> None:
        self.is_excused |= task.cancelling() > self.own_cancels or drops_cancellation(
            self._coroutine, point.moment
        )
        self.delivered.append(point)
        self.own_cancels += 1
        task.cancel()

    def _cancel_when_done(self, future: asyncio.Future[Any], task: asyncio.Task[Any], point: Point) -> None:
        def cancel(_: asyncio.Future[Any]) -> None:
            # A future that was cancelled has no result to lose: its task is being cancelled, or is told so.
            if not future.cancelled() and not task.done():
                self._cancel(task, point)

        future.add_done_callback(cancel)
        self._release = lambda: cast("None", future.remove_done_callback(cancel))

    def _forget_awaited(self) -> None:
        if self._release is not None:
            self._release()
            self._release = None
