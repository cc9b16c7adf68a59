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
from typing import Any, TypeAlias, cast

from pytest_uno.clock.await_chain import await_links
from pytest_uno.explore.injection.asyncio_flaws import drops_cancellation
from pytest_uno.explore.injection.points import Point

__all__ = ["SteppedCoroutine", "Stop", "Suspension"]


Place: TypeAlias = tuple[tuple[str, int], ...]
"""File and line of each link."""


@dataclass(frozen=True, slots=True)
class Suspension:
    """One await at which the operation was suspended.

    Attributes:
        number: its number in the operation, from 1.
        is_bare: it awaits no future: `sleep(0)`.
        lines: code and line of each link, the innermost first.
        place: the same, to be compared.
        occurrence: how often the operation was suspended there before.
    """

    number: int
    is_bare: bool
    lines: tuple[tuple[types.CodeType, int], ...]
    place: Place
    occurrence: int

    def is_like(self, other: Suspension) -> bool:
        """Say whether this is the same suspension in another run.

        Their numbers may differ: a thread that is fast enough makes an await one that does not suspend.

        Args:
            other: the suspension of the other run.
        """
        return self.occurrence == other.occurrence and self.place == other.place


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a task is to be cancelled.

    Attributes:
        point: the moment, and the number of the suspension in an earlier run.
        suspension: the suspension as it was in that run.
    """

    point: Point
    suspension: Suspension


class SteppedCoroutine(Coroutine[Any, Any, Any]):
    """Stands for a coroutine in a task; must be run by a task of asyncio.

    Args:
        coroutine: the coroutine.
        stops: where to cancel the task, in this order.

    Attributes:
        suspensions: where the coroutine was suspended until now.
        delivered: the suspensions at which the task was cancelled.
        reached: how many of the stops were reached.
        is_excused: what becomes of the cancellation is not the operation's doing: somebody else had cancelled the task
            before, or asyncio drops it.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], stops: Sequence[Stop] = ()) -> None:
        self._coroutine = coroutine
        self._stops = list(stops)
        self._release: Callable[[], None] | None = None
        self._visits: dict[Place, int] = {}
        self.suspensions: list[Suspension] = []
        self.delivered: list[Suspension] = []
        self.reached = 0
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

    def __getattr__(self, name: str) -> Any:
        """Answer for the coroutine: its name, and the attributes of later Pythons, as `cr_state`."""
        return getattr(self._coroutine, name)

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
        suspension = self._record(awaited)
        if self.reached < len(self._stops) and suspension.is_like(self._stops[self.reached].suspension):
            moment = self._stops[self.reached].point.moment
            self.reached += 1
            task = asyncio.current_task()
            assert task is not None, "only a task steps its coroutine"
            if moment == "wait" or awaited is None:
                self._cancel(task, moment, suspension)
            else:
                self._cancel_when_done(awaited, task, moment, suspension)
        return awaited

    def _record(self, awaited: Any) -> Suspension:
        lines = tuple((link.code, link.line) for link in reversed(await_links(self._coroutine)))
        place = tuple((code.co_filename, line) for code, line in lines)
        occurrence = self._visits.get(place, 0)
        self._visits[place] = occurrence + 1
        suspension = Suspension(len(self.suspensions) + 1, awaited is None, lines, place, occurrence)
        self.suspensions.append(suspension)
        return suspension

    def _cancel(self, task: asyncio.Task[Any], moment: str, suspension: Suspension) -> None:
        self.is_excused |= task.cancelling() > len(self.delivered) or drops_cancellation(
            self._coroutine, moment
        )
        self.delivered.append(suspension)
        task.cancel()

    def _cancel_when_done(
        self, future: asyncio.Future[Any], task: asyncio.Task[Any], moment: str, suspension: Suspension
    ) -> None:
        def cancel(_: asyncio.Future[Any]) -> None:
            # A future that was cancelled has no result to lose: its task is being cancelled, or is told so.
            if not future.cancelled() and not task.done():
                self._cancel(task, moment, suspension)

        future.add_done_callback(cancel)
        self._release = lambda: cast("None", future.remove_done_callback(cancel))

    def _forget_awaited(self) -> None:
        if self._release is not None:
            self._release()
            self._release = None
