"""What a finding of a rule does: fail its test, warn, or nothing.

Levels come in layers: the run's ini file, the markers of the test from the module's to its own, the command line. A
layer may name a level for everything, and levels of single rules or families. Two things are wanted of them:

- The closest layer that names a rule wins; within a layer the more exact pattern, and of two equal ones the later.
- A level for everything is a ceiling: `warn` keeps every rule that nobody names more closely at a warning. `error` is
  no order to fail for what a rule only warns of: it lets each rule do what it does in the run.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pytest_uno.leaks.rules import FAMILIES, RULES

__all__ = [
    "LEVELS",
    "Layer",
    "LeakLevels",
    "covers",
    "find_level_problem",
    "find_pattern_problem",
    "make_levels",
    "read_line",
]

LEVELS = ("error", "warn", "off")
"""From the strictest to the mildest."""


class Layer(NamedTuple):
    """What one place says about levels.

    Attributes:
        ceiling: the level of everything; None if the place names none.
        rules: levels of codes and families, as ("UNO1xx", "warn"), in the order in which they were given.
    """

    ceiling: str | None = None
    rules: tuple[tuple[str, str], ...] = ()

    def find(self, code: str) -> str | None:
        """Return the level that this layer names for a rule, None if it names none.

        Args:
            code: the code of the rule.
        """
        found = None
        for pattern, level in self.rules:
            if pattern == code:
                found = level
        if found is None:
            for pattern, level in self.rules:
                if covers(pattern, code):
                    found = level
        return found


class LeakLevels:
    """The levels that count for one test, or for the fixtures of the run; see `make_levels`.

    Args:
        layers: what each place says, the widest first.
    """

    def __init__(self, layers: Iterable[Layer]) -> None:
        self._layers = tuple(layers)
        self._levels = {code: self._find(code) for code in RULES}

    @property
    def general(self) -> str:
        """The level of what nobody names: the closest one that was given for everything."""
        given = [layer.ceiling for layer in self._layers if layer.ceiling is not None]
        return given[-1] if given else LEVELS[0]

    @functools.cached_property
    def looks(self) -> bool:
        """Whether there is a rule that is not off, so that it is worth looking."""
        return any(level != "off" for level in self._levels.values())

    @functools.cached_property
    def unwatched(self) -> list[str]:
        """The rules that are off."""
        return [code for code, level in self._levels.items() if level == "off"]

    def of(self, code: str) -> str:
        """Return the level of a rule.

        Args:
            code: its code.
        """
        return self._levels[code]

    def _find(self, code: str) -> str:
        level, ceiling = RULES[code].level, LEVELS[0]
        for layer in self._layers:
            if layer.ceiling is not None:
                ceiling = layer.ceiling
            named = layer.find(code)
            if named is not None:
                level, ceiling = named, LEVELS[0]
        return max(level, ceiling, key=LEVELS.index)


@functools.lru_cache(maxsize=256)
def make_levels(*layers: Layer) -> LeakLevels:
    """Make levels, or return those that were made of the same layers: most tests of a run share theirs.

    Args:
        layers: what each place says, the widest first.
    """
    return LeakLevels(layers)


def covers(pattern: str, code: str) -> bool:
    """Say whether a code or family, as "UNO1xx", is or has in it a rule.

    Args:
        pattern: the code or family.
        code: the code of the rule.
    """
    return pattern == code or (pattern.endswith("xx") and pattern[:4] == code[:4])


def find_pattern_problem(pattern: object) -> str | None:
    """Say what is wrong with the name of a rule or family, None if nothing is.

    Args:
        pattern: what the user wrote.
    """
    known = (*RULES, *FAMILIES)
    if pattern in known:
        return None
    close = difflib.get_close_matches(str(pattern), known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "name a rule, as 'UNO101', or a family, as 'UNO1xx'"
    return f"unknown rule {pattern!r}: {hint}"


def find_level_problem(levels: Mapping[object, object]) -> str | None:
    """Say what is wrong with levels of rules, None if nothing is.

    Args:
        levels: what the user wrote: codes and families, each with its level.
    """
    for pattern, level in levels.items():
        problem = find_pattern_problem(pattern)
        if problem is not None:
            return problem
        if level not in LEVELS:
            close = difflib.get_close_matches(str(level), LEVELS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"use {', '.join(LEVELS)}"
            return f"unknown level {level!r} of {pattern}: {hint}"
    return None


def read_line(line: str) -> tuple[str, str]:
    """Read what stands in an ini file or on a command line, as "UNO103 = warn".

    Args:
        line: the text.

    Raises:
        ValueError: it names no rule or no level; the text says what is wrong.
    """
    pattern, equals, level = (part.strip() for part in line.partition("="))
    if not equals:
        raise ValueError("write a rule and its level, as 'UNO103 = warn'")
    problem = find_level_problem({pattern: level})
    if problem is not None:
        raise ValueError(problem)
    return pattern, level
