"""What a test and the command line say about the exploration of schedules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import pytest

from pytest_uno.core.errors import compose_message

__all__ = [
    "DELAYS",
    "EXPLORATION_KEYS",
    "ExplorationFlags",
    "ExplorationOptions",
    "add_exploration_flags",
    "find_exploration_problem",
    "read_exploration",
    "read_exploration_flags",
]

DELAYS = ("io", "sleep", "yield")
"""What may take longer than it does in stock order: as `pytest_uno.explore` has them."""

ORDERS = ("explore", "stock")


class ExplorationOptions(NamedTuple):
    """How one test is explored; the attributes are arguments of `pytest_uno.explore.explore`.

    Attributes:
        schedules: how many schedules at most, stock order among them.
        seed: of what is drawn by lot.
        delay: what may be late.
        jitter: how many times as long as it asks for a sleep may take.
        timeouts: whether deadlines may pass that do not in stock order.
        explore_time: real seconds after which no new schedule begins; 0 for any time.
    """

    schedules: int = 100
    seed: int = 0
    delay: tuple[str, ...] = DELAYS
    jitter: float = 10.0
    timeouts: bool = False
    explore_time: float = 0.0


class ExplorationFlags(NamedTuple):
    """What the command line says of every explored test.

    Attributes:
        schedules: how many schedules; None for what each test says, 0 for stock order alone.
        replay: the token of the only schedule to run, None for a search.
    """

    schedules: int | None = None
    replay: str | None = None


def _number(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return None
    return "give a number of schedules, at least 0; 0 is stock order alone"


def _seed(value: object) -> str | None:
    return None if isinstance(value, int) and not isinstance(value, bool) else "give a whole number"


def _delay(value: object) -> str | None:
    kinds = (value,) if isinstance(value, str) else value
    if isinstance(kinds, list | tuple):
        unknown = [kind for kind in cast("Sequence[object]", kinds) if kind not in DELAYS]
        if not unknown:
            return None
    return f"give some of {', '.join(map(repr, DELAYS))}"


def _jitter(value: object) -> str | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value < float("inf"):
        return None
    return "give a number of at least 1: how many times as long as it asks for a sleep may take"


def _truth(value: object) -> str | None:
    return None if isinstance(value, bool) else "use True or False"


def _real_seconds(value: object) -> str | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return None
    return "give real seconds as a number of at least 0; 0 is any time"


EXPLORATION_KEYS: dict[str, Callable[[object], str | None]] = {
    "schedules": _number,
    "seed": _seed,
    "delay": _delay,
    "jitter": _jitter,
    "timeouts": _truth,
    "explore_time": _real_seconds,
}
"""The keys of the marker, each with what says what is wrong with a value."""


def read_exploration(merged: Mapping[str, Any], flags: ExplorationFlags) -> ExplorationOptions | None:
    """Return how a test is explored; None for one that runs once, in stock order.

    Args:
        merged: the merged arguments of its markers, checked.
        flags: what the command line says.
    """
    schedules = merged.get("schedules", 0)
    if not schedules:
        return None
    if flags.replay is None and flags.schedules is not None:
        schedules = flags.schedules
        if not schedules:
            return None
    delay: Any = merged.get("delay", DELAYS)
    return ExplorationOptions(
        schedules=schedules,
        seed=merged.get("seed", 0),
        delay=(delay,) if isinstance(delay, str) else tuple(delay),
        jitter=float(merged.get("jitter", 10.0)),
        timeouts=merged.get("timeouts", False),
        explore_time=float(merged.get("explore_time", 0.0)),
    )


def find_exploration_problem(merged: Mapping[str, Any], clock: str) -> tuple[str, str] | None:
    """Say what is wrong with arguments that are right by themselves: what, and what to do about it.

    Args:
        merged: the merged arguments of a test's markers, with one of the `EXPLORATION_KEYS` at least.
        clock: the clock of the test.
    """
    if "schedules" not in merged:
        given = next(key for key in EXPLORATION_KEYS if key in merged)
        return (
            f"{given}= says how schedules are explored, and the test explores none",
            f"add schedules=, for example schedules=100, or remove {given}=",
        )
    if not merged["schedules"]:
        return None
    if clock == "real":
        return "schedules= needs virtual time", "remove schedules=, or run the test with clock='virtual'"
    if merged.get("loop_scope", "function") != "function":
        return (
            f"schedules= needs a loop for each schedule, not one of a {merged['loop_scope']}",
            "remove loop_scope=, or explore a scenario with the fixture uno_explore",
        )
    if "loop_factories" in merged:
        return (
            "schedules= brings a loop of its own",
            "remove loop_factories=, or explore in a test of its own",
        )
    return None


def add_exploration_flags(group: Any) -> None:
    """Register the flags.

    Args:
        group: pytest's option group.
    """
    group.addoption(
        "--uno-schedules",
        default=None,
        metavar="N",
        help="how many schedules of each explored test are run; 0: stock order alone",
    )
    group.addoption(
        "--uno-order",
        default=None,
        metavar="ORDER",
        help="explore (the default) or stock: run explored tests once, in stock order",
    )
    group.addoption(
        "--uno-replay",
        default=None,
        metavar="TOKEN",
        help="run explored tests in one schedule alone, by the token that a failure has printed",
    )


def read_exploration_flags(config: pytest.Config) -> ExplorationFlags:
    """Read and check the flags.

    Args:
        config: the configuration of the run.

    Raises:
        pytest.UsageError: a flag has a value that it does not take, or two exclude each other.
    """
    given, order = config.getoption("uno_schedules", None), config.getoption("uno_order", None)
    token = config.getoption("uno_replay", None)
    schedules: int | None = None
    if given is not None:
        try:
            schedules = int(given)
        except ValueError:
            schedules = -1
        if schedules < 0:
            _refuse(
                f"--uno-schedules: {given!r} is not a number of schedules",
                "give a whole number of at least 0; 0 runs stock order alone",
            )
    if order is not None and order not in ORDERS:
        _refuse(f"--uno-order: {order!r} is not one of {', '.join(ORDERS)}", "use stock, or leave it out")
    if order == "stock":
        if schedules:
            _refuse(
                "--uno-order=stock runs one schedule, and --uno-schedules asks for more", "keep one of them"
            )
        schedules = 0
    if token is not None:
        if schedules is not None:
            _refuse(
                "--uno-replay runs the schedule of its token alone",
                "remove --uno-schedules and --uno-order",
            )
        from pytest_uno.explore.tokens import BadTokenError, parse_token

        try:
            parse_token(token)
        except BadTokenError as error:
            raise pytest.UsageError(f"--uno-replay: {error}") from None
    return ExplorationFlags(schedules, token)


def _refuse(what: str, fix: str) -> None:
    raise pytest.UsageError(compose_message(what, fix=fix, anchor="bad-option"))
