"""What an injection has found, and the text of it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_uno.core.errors import UnoError
from pytest_uno.leaks.model import Frame

__all__ = ["InjectionError", "InjectionFailure", "describe_failures"]

_SHOWN = 6


@dataclass(frozen=True, slots=True)
class InjectionFailure:
    """One injection after which something was wrong.

    Attributes:
        only: names it, for `only=`.
        moment: what was done, in words.
        place: the line of the await or of the call; None if there is none to be seen.
        problems: what was wrong: what the check said, what was left behind.
    """

    only: str
    moment: str
    place: Frame | None
    problems: tuple[str, ...]


class InjectionError(UnoError, AssertionError):
    """An operation does not bear to be cancelled, or that something fails, or cannot be judged.

    Attributes:
        failures: the injections after which something was wrong; empty if the operation cannot be judged.
        injections: how many injections there were.
    """

    def __init__(self, message: str, failures: Sequence[InjectionFailure] = (), injections: int = 0) -> None:
        super().__init__(message)
        self.failures = tuple(failures)
        self.injections = injections


def describe_failures(caller: str, failures: Sequence[InjectionFailure]) -> str:
    """Return the lines that show failures, those at the same line with the same problems together.

    Args:
        caller: the function that was called, for the line that runs one of them alone.
        failures: the failures, at least one.
    """
    groups: dict[tuple[Frame | None, tuple[str, ...]], list[InjectionFailure]] = {}
    for failure in failures:
        groups.setdefault((failure.place, failure.problems), []).append(failure)
    lines: list[str] = []
    for (place, problems), alike in list(groups.items())[:_SHOWN]:
        moments = dict.fromkeys(failure.moment for failure in alike)
        lines.append(f"{_listed([failure.only for failure in alike])}: {'; '.join(moments)}")
        if place is not None:
            lines.append(
                f"    at {place.file}:{place.line} in {place.function}" + f": {place.code}" * bool(place.code)
            )
        lines += [textwrap.indent(problem, "      ").replace("      ", "    - ", 1) for problem in problems]
    more = [failure.only for alike in list(groups.values())[_SHOWN:] for failure in alike]
    if more:
        lines.append(f"and {len(more)} more: {_listed(more)}")
    lines.append(f"one alone: {caller}(..., only={failures[0].only!r})")
    return textwrap.indent("\n".join(lines), "  ")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names if len(names) <= 4 else (*names[:3], f"... ({len(names)} in all)"))
