"""Tokens: the text that replays one schedule.

io:13               completions of class io may be late; the operation of decision 13 is put on hold
sleep:3.7           io and sleeps may be late; two holds
yield:pos.0.17      all classes; the 18th schedule of POS with seed 0, where no holds give the failure
yield:pct3.0.4.39   the same of PCT with depth 3, whose changes lie among 39 decisions
yield:path.2-1.9-2  all classes; decision 2 takes the second option, decision 9 the third
io+yield~20!:5      io and `sleep(0)`, but no sleeps; jitter=20; timeouts=True
stock               stock order
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pytest_uno.core.errors import BadTokenError, compose_message
from pytest_uno.explore.operations import IO, SLEEP, YIELD
from pytest_uno.explore.settings import CLASSES, Settings
from pytest_uno.explore.strategies.base import Strategy
from pytest_uno.explore.strategies.holds import Holds
from pytest_uno.explore.strategies.path import Path
from pytest_uno.explore.strategies.pct import PriorityChanges
from pytest_uno.explore.strategies.pos import PartialOrderSampling
from pytest_uno.explore.strategies.stock import Stock

__all__ = ["BadTokenError", "Token", "parse_token", "token_of"]

_TOKEN = re.compile(
    r"(?P<classes>io\+yield|io|sleep|yield)(?:~(?P<jitter>[0-9.]+))?(?P<timeouts>!?):"
    r"(?:(?P<holds>\d+(?:\.\d+)*)|pos\.(?P<pos>-?\d+\.\d+)|pct(?P<depth>\d+)\.(?P<pct>-?\d+\.\d+\.\d+)"
    r"|path(?P<path>(?:\.\d+-\d+)*))"
)

_NAMES: dict[tuple[str, ...], str] = {(IO,): IO, (IO, SLEEP): SLEEP, CLASSES: YIELD, (IO, YIELD): "io+yield"}
_CLASSES_OF = {name: classes for classes, name in _NAMES.items()}

_DEFAULT = Settings()


@dataclass(frozen=True, slots=True)
class Token:
    """A token, read.

    Attributes:
        text: the token.
        settings: what may be late in the schedule.
        holds: the decisions that put something on hold; empty for stock order and random strategies.
    """

    text: str
    settings: Settings
    holds: tuple[int, ...]

    def strategy(self) -> Strategy:
        """Return a fresh strategy that replays the schedule."""
        if self.text == Stock.token:
            return Stock()
        if self.holds:
            return Holds(self.holds)
        kind, *numbers = self.text.partition(":")[2].split(".")
        if kind == "pos":
            return PartialOrderSampling(*map(int, numbers))
        if kind == "path":
            return Path({int(at): int(index) for at, _, index in (one.partition("-") for one in numbers)})
        seed, index, length = map(int, numbers)
        return PriorityChanges(seed, index, length, int(kind[3:]))


def token_of(strategy: Strategy, settings: Settings) -> str:
    """Return the token of a schedule.

    Args:
        strategy: what chose.
        settings: what could be late.
    """
    if isinstance(strategy, Stock):
        return strategy.token
    name = _NAMES[settings.delay]
    jitter = "" if settings.jitter == _DEFAULT.jitter else f"~{settings.jitter:.15g}"
    return f"{name}{jitter}{'!' * settings.timeouts}:{strategy.token}"


def parse_token(text: str) -> Token:
    """Read a token.

    Args:
        text: what stands behind `--uno-replay=`.

    Raises:
        BadTokenError: it is none.
    """
    text = text.strip()
    if text == Stock.token:
        return Token(text, _DEFAULT, ())
    match = _TOKEN.fullmatch(text)
    if match is None:
        raise BadTokenError(
            compose_message(
                f"{text!r} is not the token of a schedule",
                cause="it was shortened, or typed by hand",
                fix="copy it from the `Replay:` line of the report; it looks like io:13, sleep:3.7 or yield:pos.0.17",
                anchor="explore-token",
            )
        )
    try:
        jitter = float(match["jitter"] or _DEFAULT.jitter)
        settings = Settings.of(_CLASSES_OF[match["classes"]], jitter, bool(match["timeouts"]))
    except ValueError as error:
        raise BadTokenError(
            compose_message(
                f"{text!r} is not the token of a schedule: its jitter is {match['jitter']}",
                fix="copy it from the `Replay:` line of the report",
                anchor="explore-token",
            )
        ) from error
    holds = tuple(map(int, match["holds"].split("."))) if match["holds"] else ()
    if list(holds) != sorted(set(holds)):
        raise BadTokenError(
            compose_message(
                f"{text!r} is not the token of a schedule: its holds do not ascend",
                fix="copy it from the `Replay:` line of the report",
                anchor="explore-token",
            )
        )
    return Token(text, settings, holds)
