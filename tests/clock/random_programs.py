"""Random asyncio programs: a small language of steps, and the strategy that writes programs in it.

A step with a delay has it in *ticks*. A program can be timed in two ways:

- relative: each delay is its number of ticks, so that many deadlines are equal;
- spread out: each delay ends at a tick of its own, counted from the start, so that none are equal and a late
  wake-up does not add to the next one. The order of those ticks follows the numbers of ticks drawn.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

from hypothesis import strategies as st
from hypothesis.vendor.pretty import RepresentationPrinter

__all__ = ["Body", "Program", "Step", "programs"]

WAITING = ("wait_event", "get", "wait_condition", "barrier")
TIMED = ("sleep", "call_later", "resolve_later", "timeout", "wait_for", "wait", *WAITING)
#: How many bodies a step has.
BODIES = {
    **dict.fromkeys(("spawn", "lock", "semaphore", "timeout", "wait_for", "shield", "swallow"), 1),
    **dict.fromkeys(("group", "gather", "wait", "try", "finally"), 2),
}
#: What is drawn; simple ones first, and some more often.
KINDS = (
    *("pass", "sleep", "sleep", "sleep", "sleep", "set_event", "put", "put", "notify", "notify", "raise"),
    *("call_later", "call_later", "call_later", "resolve_later", "cancel", "cancel", "join", "clear_event"),
    *("wait_event", "get", "get", "wait_condition", "barrier"),
    *("spawn", "spawn", "spawn", "lock", "semaphore", "timeout", "timeout", "wait_for", "shield", "swallow"),
    *("group", "group", "gather", "wait", "try", "finally"),
)
VARIANTS = 4
LONGEST = 4  # ticks
SIZES = 3  # of a body, in steps
DEEPEST = 3  # bodies in bodies


@dataclasses.dataclass(frozen=True)
class Step:
    """One thing that a task does."""

    kind: str
    which: int = 0  # of the events, queues, locks, ... or of the variants of the step
    ticks: int = 0
    bodies: tuple[Body, ...] = ()
    number: int = 0  # in the order of the text

    def render(self, indent: str = "") -> str:
        """Return the step as an indented outline, for a failing example."""
        ticks = f" ticks={self.ticks}" if self.kind in TIMED else ""
        lines = [f"{indent}{self.number} {self.kind}({self.which}){ticks}"]
        for number, body in enumerate(self.bodies):
            lines.append(f"{indent}  body {number}:")
            lines += [step.render(indent + "    ") for step in body]
        return "\n".join(lines)


Body = tuple[Step, ...]


@dataclasses.dataclass(frozen=True)
class Program:
    """Tasks that start at the same time and share events, queues and locks."""

    bodies: tuple[Body, ...]
    eager: bool = False  # tasks start at once, where Python can do that

    def steps(self) -> Iterator[Step]:
        """Yield every step, each once, in the order of the text."""
        waiting = list(reversed(list(itertools.chain(*self.bodies))))
        while waiting:
            step = waiting.pop()
            yield step
            waiting.extend(reversed(list(itertools.chain(*step.bodies))))

    def spread_out(self) -> dict[int, int]:
        """Return a tick of its own for each step with a delay, by the step's number."""
        timed = sorted((step.ticks, step.number) for step in self.steps() if step.kind in TIMED)
        return {number: tick for tick, (_, number) in enumerate(timed, 1)}

    def relative(self) -> dict[int, int]:
        """Return the ticks drawn for each step with a delay, by the step's number."""
        return {step.number: step.ticks for step in self.steps() if step.kind in TIMED}

    def _repr_pretty_(self, printer: RepresentationPrinter, cycle: bool) -> None:
        """Be an outline in Hypothesis's report of a failing example."""
        lines = [f"Program, eager={self.eager}"]
        for number, body in enumerate(self.bodies):
            lines.append(f"  task {number}:")
            lines += [step.render("    ") for step in body]
        printer.text("\n".join(lines))


class _Parser:
    """Makes steps of drawn numbers: each is a step's kind and arguments, and a step takes its bodies from the rest.

    A list of numbers is drawn far faster than a tree, and shrinks as well.
    """

    def __init__(self, codes: list[int]) -> None:
        self._codes = codes
        self._position = 0

    def parse_body(self, most: int, depth: int) -> Body:
        """Return the next steps, at most so many, or as many as there are."""
        steps: list[Step] = []
        while len(steps) < most and self._position < len(self._codes):
            steps.append(self._parse_step(depth))
        return tuple(steps)

    def _parse_step(self, depth: int) -> Step:
        argument, kind_number = divmod(self._codes[self._position], len(KINDS))
        self._position += 1
        number = self._position
        argument, which = divmod(argument, VARIANTS)
        size, ticks = divmod(argument, LONGEST + 1)
        kind = KINDS[kind_number]
        count = BODIES.get(kind, 0)
        if count and depth == DEEPEST:
            kind, count = "pass", 0
        bodies = tuple(self.parse_body(size + 1, depth + 1) for _ in range(count))
        return Step(kind, which, ticks, bodies, number)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Draw a program of one to four tasks."""
    length = draw(st.integers(1, 24))
    code = st.integers(0, len(KINDS) * VARIANTS * (LONGEST + 1) * SIZES - 1)
    parser = _Parser(draw(st.lists(code, min_size=length, max_size=length)))
    tasks = draw(st.integers(1, 4))
    bodies = [parser.parse_body(length // (2 * tasks) + 1, 0) for _ in range(tasks - 1)]
    return Program((*bodies, parser.parse_body(length, 0)), draw(st.booleans()))
