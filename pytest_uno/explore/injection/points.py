"""The points of an injection, and how a user writes them: `wake@3`, `wait@2+wait@4`, `before@1`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from pytest_uno.core.errors import compose_message

__all__ = ["MOMENTS", "TIMES", "Plan", "Point", "parse_plan", "require_words"]

MOMENTS = ("wait", "wake")
"""When a task can be cancelled at an await."""

TIMES = ("before", "after")
"""When a call can fail: before its effect, or after it, so that only the reply is lost."""

_POINT = re.compile(r"(?P<moment>[a-z]+)@(?P<number>[1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class Point:
    """One point of an injection.

    Attributes:
        moment: a word of `MOMENTS` or of `TIMES`.
        number: the number of the suspension, or of the call, from 1.
    """

    moment: str
    number: int

    def __str__(self) -> str:
        return f"{self.moment}@{self.number}"


Plan: TypeAlias = tuple[Point, ...]
"""What is injected in one run."""


def require_words(argument: str, given: object, known: Sequence[str]) -> tuple[str, ...]:
    """Return the words that were given for an argument, each once, in the order that is known.

    Args:
        argument: the argument, for the message.
        given: one word or several.
        known: the words that there are.

    Raises:
        ValueError: there is no such word, or none was given.
    """
    words: tuple[object, ...] = ()
    if isinstance(given, str):
        words = (given,)
    elif isinstance(given, Iterable):
        words = tuple(cast("Iterable[object]", given))
    unknown = [word for word in words if word not in known]
    if words and not unknown:
        return tuple(word for word in known if word in words)
    choices = " and ".join(repr(word) for word in known)
    near = difflib.get_close_matches(str(unknown[0]), known, 1) if unknown else []
    problem = f"there is no {unknown[0]!r}" if unknown else "nothing would be injected"
    raise ValueError(
        compose_message(
            f"{argument}={given!r}: {problem}",
            fix=f"did you mean {near[0]!r}? There are {choices}" if near else f"choose among {choices}",
            anchor="injection-arguments",
        )
    )


def parse_plan(only: object, known: Sequence[str], *, most: int) -> Plan:
    """Read the plan of one run.

    Args:
        only: as a failure's text names it.
        known: the moments that there are.
        most: the greatest number of points.

    Raises:
        ValueError: it is no plan.
    """
    matches = [_POINT.fullmatch(part) for part in only.split("+")] if isinstance(only, str) else [None]
    points = tuple(
        Point(match["moment"], int(match["number"]))
        for match in matches
        if match is not None and match["moment"] in known
    )
    numbers = [point.number for point in points]
    if len(points) == len(matches) <= most and numbers == sorted(set(numbers)):
        return points
    example = "+".join(f"{known[0]}@{number}" for number in range(1, most + 1))
    raise ValueError(
        compose_message(
            f"only={only!r} names no injection",
            fix=f"copy it from the text of the failure, as {known[-1] + '@1'!r} or {example!r}",
            anchor="injection-arguments",
        )
    )
