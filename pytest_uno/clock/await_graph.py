"""The picture of who waits for whom.

A graph is plain data: names, lines and descriptions, nothing of the loop it was taken from. The watchdog
takes it from its own thread while the loop runs or is blocked, leak messages show it, and a deadlock is
explained by it. On 3.14 and newer the frames agree with `asyncio.capture_call_graph`, which knows neither
locks nor queues nor cycles.

Two passes: first what each task waits for; then, only for the locks, events and queues that occurred, who
holds them and who could act on them.
"""

from __future__ import annotations

import asyncio
import linecache
import os
import threading
import types
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pytest_uno.clock.await_chain import is_running, running_frames, waiting_frames
from pytest_uno.clock.awaiters import awaiters
from pytest_uno.clock.holders import entered_contexts, reachable
from pytest_uno.clock.waiting_for import Waiting, quote_names, recognise, seconds

__all__ = ["AwaitGraph", "AwaitNode", "Position", "awaiters", "capture_await_graph", "waiting_frames"]

_T = TypeVar("_T")

_SEARCHED = 200
"""Most tasks whose reachable objects are searched: the search costs up to a millisecond a task."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a frame stands.

    Attributes:
        file: the path of the source file.
        line: the line number.
        function: the qualified name of the function.
        source: the line itself, stripped; empty when the source is not to be had.
    """

    file: str
    line: int
    function: str
    source: str

    def __str__(self) -> str:
        root = os.getcwd() + os.sep
        place = f"{self.file.removeprefix(root)}:{self.line} in {self.function}"
        return f"{place}: {self.source}" if self.source else place


@dataclass(frozen=True, slots=True)
class AwaitNode:
    """One task of the picture.

    Attributes:
        name: the task's name.
        label: what the caller had to say about the task, such as its owner.
        coroutine: the qualified name of the task's coroutine.
        stands_at: the frames, from the innermost await outwards.
        waits_for: a description of what the task waits for.
        waits_for_tasks: the names of the tasks in the picture that it waits for, sorted.
        awaited_by: the name of the task that awaits this one.
    """

    name: str
    label: str | None
    coroutine: str
    stands_at: tuple[Position, ...]
    waits_for: str
    waits_for_tasks: tuple[str, ...] = ()
    awaited_by: str | None = None


@dataclass(frozen=True, slots=True)
class AwaitGraph:
    """Who waits for whom, at one moment.

    Attributes:
        nodes: the tasks, sorted by name; when some were left out, those of cycles before others.
        cycles: the names of tasks that wait for each other, each cycle from its first name on.
        first: the name of the task to show first.
        left_out: how many more tasks there are, which were not looked at closely.
    """

    nodes: tuple[AwaitNode, ...]
    cycles: tuple[tuple[str, ...], ...]
    first: str | None = None
    left_out: int = 0

    def render(self, *, limit: int = 50) -> str:
        """Write the picture as text: a paragraph a task, then the cycles.

        Args:
            limit: most tasks to show; the tasks of cycles come before others when there are more.
        """
        if not self.nodes:
            return "no tasks"
        in_cycle = {name for cycle in self.cycles for name in cycle}
        shown = sorted(self.nodes, key=lambda node: node.name != self.first)
        if len(shown) > limit:
            shown.sort(key=lambda node: (node.name != self.first, node.name not in in_cycle))
            del shown[limit:]
        count = len(self.nodes) + self.left_out
        lines = [f"{count} task{'' if count == 1 else 's'}"]
        for node in shown:
            label = f" [{node.label}]" if node.label else ""
            lines.append(f"  task {node.name!r}{label} ({node.coroutine}) waits for {node.waits_for}")
            if node.awaited_by is not None:
                lines.append(f"    awaited by task {node.awaited_by!r}")
            lines.extend(f"    at {position}" for position in node.stands_at)
        if len(shown) < count:
            lines.append(f"  and {count - len(shown)} more")
        lines.extend(f"  cycle: {' -> '.join(map(repr, [*cycle, cycle[0]]))}" for cycle in self.cycles)
        return "\n".join(lines)


def capture_await_graph(
    loop: asyncio.AbstractEventLoop,
    *,
    tasks: Iterable[asyncio.Task[Any]] | None = None,
    label: Callable[[asyncio.Task[Any]], str | None] | None = None,
    is_first: Callable[[asyncio.Task[Any]], bool] | None = None,
    limit: int | None = None,
) -> AwaitGraph:
    """Take the picture of who waits for whom.

    May be called from any thread, whatever the loop does meanwhile; never raises. What changes under the
    look, or belongs to another library, is described as unknown.

    Args:
        loop: the loop whose tasks are shown.
        tasks: the tasks to show; all unfinished ones of the loop when None.
        label: says what stands next to a task's name, such as its owner.
        is_first: says which task to show first.
        limit: most tasks to look at closely: the first one, then those of cycles, then the others; None for all.

    Example:
        >>> async def main() -> str:
        ...     event = asyncio.Event()
        ...     waiting = asyncio.create_task(event.wait(), name="waiting")
        ...     await asyncio.sleep(0)
        ...     graph = capture_await_graph(asyncio.get_running_loop(), tasks=[waiting])
        ...     event.set()
        ...     return graph.nodes[0].waits_for
        >>> asyncio.run(main())
        'event that is not set (no other suspended task refers to it)'
    """
    try:
        chosen = sorted(asyncio.all_tasks(loop) if tasks is None else tasks, key=_name)
    except Exception:  # the set of tasks kept changing: asyncio gives up after 1,000 attempts
        return AwaitGraph((), ())
    survey = _Survey(chosen)
    names = [_name(task) for task in chosen]
    waits = [survey.explain(index) for index in range(len(chosen))]
    cycles = _cycles(names, survey.edges)
    first = next((i for i, task in enumerate(chosen) if is_first and _guarded(is_first, task, False)), None)
    shown = list(range(len(chosen)))
    if limit is not None and len(shown) > limit:
        in_cycle = {name for cycle in cycles for name in cycle}
        shown = sorted(shown, key=lambda i: (i != first, names[i] not in in_cycle))[:limit]
    nodes: list[AwaitNode] = []
    for index in shown:
        task, (text, on) = chosen[index], waits[index]
        awaiter = survey.awaited_by.get(task)
        nodes.append(
            AwaitNode(
                name=names[index],
                label=None if label is None else _guarded(label, task, None),
                coroutine=_guarded(_coroutine_name, task, "unknown coroutine"),
                stands_at=tuple(_position(code, line) for code, line in waiting_frames(task)),
                waits_for=text + survey.deadline(index, loop),
                waits_for_tasks=tuple(sorted(map(_name, on))),
                awaited_by=None if awaiter is None else _name(awaiter),
            )
        )
    return AwaitGraph(
        tuple(nodes),
        cycles,
        first=None if first is None else names[first],
        left_out=len(chosen) - len(nodes),
    )


class _Survey:
    """What was found out about the tasks of one picture; dropped with it, for it refers to them."""

    def __init__(self, tasks: list[asyncio.Task[Any]]) -> None:
        self.tasks = tasks
        self.awaited_by = awaiters(tasks)
        self.edges: list[set[int]] = [set() for _ in tasks]
        self._index = {id(task): index for index, task in enumerate(tasks)}
        unknown = Waiting("something unknown")
        self._waits = [_guarded(_waiting, task, unknown) for task in tasks]
        self._entered: dict[int, list[object]] = {}
        self._reached = self._search()

    def _contexts(self, index: int) -> list[object]:
        """Return what a task is inside of; found out when it is first needed, for it costs as much as all else."""
        if index not in self._entered:
            nothing: list[object] = []
            self._entered[index] = _guarded(entered_contexts, self.tasks[index], nothing)
        return self._entered[index]

    def _search(self) -> list[set[int]] | None:
        """Say which of the awaited objects each task can reach; None when there are too many tasks to ask."""
        targets = {id(item) for wait in self._waits for item in (wait.held, wait.awaited) if item is not None}
        if len(self.tasks) > _SEARCHED:
            return None
        nowhere: set[int] = set()
        return [_guarded(lambda task: reachable(task, targets), task, nowhere) for task in self.tasks]

    def explain(self, index: int) -> tuple[str, list[asyncio.Task[Any]]]:
        """Describe the wait of one task, name the tasks it waits for, and note its edges for the cycles."""
        wait, task = self._waits[index], self.tasks[index]
        text, on = wait.what, [item for item in wait.futures if isinstance(item, asyncio.Task)]
        any_of = wait.any_of
        if wait.held is not None:
            on = [t for i, t in enumerate(self.tasks) if _among(wait.held, self._contexts(i))]
            any_of = not isinstance(wait.held, asyncio.Lock)
            text += f" held by {_name_tasks(on, task)}" if on else f", holder unknown{self._referrers(index)}"
        elif wait.awaited is not None:
            text += self._referrers(index)
        elif any_of and not on:
            on = [child for child, awaiter in self.awaited_by.items() if awaiter is task]
        if not any_of or len(on) == 1:
            # Where one of several is enough, a way back through one of them is no deadlock.
            self.edges[index] = {self._index[id(other)] for other in on if id(other) in self._index}
        return text, on

    def _referrers(self, index: int) -> str:
        if self._reached is None:
            return ""
        wait = self._waits[index]
        subject = wait.awaited if wait.held is None else wait.held
        tasks = [
            task
            for task, reached, other in zip(self.tasks, self._reached, self._waits, strict=True)
            # Others that wait for the same thing are no help.
            if id(subject) in reached and other.awaited is not subject and other.held is not subject
        ]
        if not tasks:
            return " (no other suspended task refers to it)"
        return f" ({_name_tasks(tasks)} refer{'s' if len(tasks) == 1 else ''} to it)"

    def deadline(self, index: int, loop: asyncio.AbstractEventLoop) -> str:
        """Describe the nearest time-out around a task's wait."""
        ends = [item.when() for item in self._contexts(index) if isinstance(item, asyncio.Timeout)]
        known = [end for end in ends if end is not None]
        return f", until the time-out in {seconds(min(known) - loop.time())}" if known else ""


def _guarded(ask: Callable[[asyncio.Task[Any]], _T], task: asyncio.Task[Any], otherwise: _T) -> _T:
    """Ask about a task that may belong to another library, or change meanwhile."""
    try:
        return ask(task)
    except Exception:
        return otherwise


def _waiting(task: asyncio.Task[Any]) -> Waiting:
    if task.done():
        return Waiting("nothing: cancelled" if task.cancelled() else "nothing: finished")
    coroutine = task.get_coro()
    if is_running(coroutine):
        thread = running_frames(coroutine)[1]
        names = [repr(one.name) for one in threading.enumerate() if one.ident == thread]
        return Waiting(f"nothing: running in thread {', '.join(names) or 'unknown'}")
    wait = recognise(task)
    return replace(wait, what=f"{wait.what} (cancellation requested)") if task.cancelling() else wait


def _name(task: asyncio.Task[Any]) -> str:
    return _guarded(lambda named: named.get_name(), task, "unnamed")


def _name_tasks(tasks: list[asyncio.Task[Any]], asking: asyncio.Task[Any] | None = None) -> str:
    if len(tasks) == 1 and tasks[0] is asking:
        return "this task itself"
    return f"task{'' if len(tasks) == 1 else 's'} {quote_names(tasks)}"


def _coroutine_name(task: asyncio.Task[Any]) -> str:
    coroutine = task.get_coro()
    return str(getattr(coroutine, "__qualname__", type(coroutine).__qualname__))


def _position(code: types.CodeType, line: int) -> Position:
    return Position(
        code.co_filename, line, code.co_qualname, linecache.getline(code.co_filename, line).strip()
    )


def _among(item: object, items: list[object]) -> bool:
    return any(one is item for one in items)


def _cycles(names: list[str], edges: list[set[int]]) -> tuple[tuple[str, ...], ...]:
    """Find cycles, so that each task that waits for itself in the end is in one of them."""
    # Who waits for nobody that waits cannot be in a cycle: mostly nothing is left after this.
    left = {index for index, on in enumerate(edges) if on}
    while stuck := {index for index in left if not edges[index] & left}:
        left -= stuck
    cycles: list[tuple[str, ...]] = []
    covered: set[int] = set()
    for start in sorted(left):
        if start in covered:
            continue
        cycle = _shortest_way_back(start, edges)
        covered.update(cycle)
        if cycle:
            cycles.append(tuple(names[index] for index in cycle))
    return tuple(cycles)


def _shortest_way_back(start: int, edges: list[set[int]]) -> list[int]:
    """Return the nodes from a node around to itself; empty when there is no way back."""
    came_from: dict[int, int] = {}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        for following in sorted(edges[node]):
            if following == start:
                path = [node]
                while path[-1] != start:
                    path.append(came_from[path[-1]])
                return path[::-1]
            if following not in came_from:
                came_from[following] = node
                queue.append(following)
    return []
