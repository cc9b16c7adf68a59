"""What a search may vary, and how far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pytest_uno.core.errors import compose_message
from pytest_uno.explore.operations import IO, SLEEP, YIELD

__all__ = ["CLASSES", "ROUND_LIMIT", "Settings"]

CLASSES = (IO, SLEEP, YIELD)
"""The classes of completions, the one that assumes least about the program first."""

ROUND_LIMIT = 1_000_000
"""Rounds of the loop in one schedule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What may be late in a schedule.

    Attributes:
        delay: classes of completions that may be late; `io` always is among them.
        jitter: a sleep of `d` seconds ends between `d` and `jitter * d`.
        timeouts: completions may come after a time-out that waits for them has fired.
        round_limit: rounds of the loop after which a schedule fails.
    """

    delay: tuple[str, ...] = CLASSES
    jitter: float = 10.0
    timeouts: bool = False
    round_limit: int = ROUND_LIMIT

    @classmethod
    def of(cls, delay: Iterable[str], jitter: float, timeouts: bool) -> Settings:
        """Check what a user has given.

        Args:
            delay: classes of completions.
            jitter: at least 1.
            timeouts: whether time-outs may win against what they wait for.

        Raises:
            ValueError: a class is unknown, or the jitter is too small or infinite.
        """
        names = (delay,) if isinstance(delay, str) else tuple(delay)
        for name in names:
            if name not in CLASSES:
                raise ValueError(
                    compose_message(
                        f"delay={name!r}: no class of completions has this name",
                        fix=f"give some of {', '.join(map(repr, CLASSES))}",
                        anchor="explore-settings",
                    )
                )
        if not 1 <= jitter < float("inf"):
            raise ValueError(
                compose_message(
                    f"jitter={jitter!r}: a sleep ends between once and `jitter` times its length",
                    fix="give a finite number of at least 1; 10 is the default",
                    anchor="explore-settings",
                )
            )
        return cls(
            delay=tuple(name for name in CLASSES if name == IO or name in names),
            jitter=float(jitter),
            timeouts=bool(timeouts),
        )
