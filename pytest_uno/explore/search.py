"""The search: schedule after schedule, until one fails or the budget is used up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import replace as changed

from pytest_uno.explore.determinism import check_determinism
from pytest_uno.explore.errors import ExplorationError, running_loop_message
from pytest_uno.explore.explanation import Findings, explain
from pytest_uno.explore.report import ExplorationReport, Progress
from pytest_uno.explore.run import Outcome, Scenario, Surroundings, run_schedule
from pytest_uno.explore.settings import CLASSES, Settings
from pytest_uno.explore.shrinking import shrink
from pytest_uno.explore.strategies.auto import Auto
from pytest_uno.explore.strategies.base import Strategy
from pytest_uno.explore.tokens import Token, parse_token, token_of

__all__ = ["explore", "replay"]

_real_time = time.perf_counter

_LIMIT_FACTOR, _LIMIT_BASE = 20, 10_000
"""Rounds that a schedule may have, compared with the stock order."""


def explore(
    scenario: Scenario,
    *,
    schedules: int = 100,
    seed: int = 0,
    delay: Iterable[str] = CLASSES,
    jitter: float = 10,
    timeouts: bool = False,
    explore_time: float | None = None,
    surroundings: Surroundings = Surroundings(),  # noqa: B008 - frozen
    progress: Callable[[Progress], object] | None = None,
    name: str | None = None,
) -> ExplorationReport:
    """Run a scenario in many schedules that asyncio allows, and find one that fails.

    Stock order comes first, then every schedule with one hold, with schedules of POS and PCT between them. The search
    ends at the first failure, which is then reduced to the fewest holds, checked for determinism and explained. Must be
    called where no event loop runs; each schedule has a loop of its own, on virtual time.

    Args:
        scenario: called without arguments for each schedule; returns a fresh coroutine. What it shares with its last
            call makes schedules depend on each other.
        schedules: how many schedules at most; 0 runs stock order only.
        seed: of the random strategies.
        delay: classes of completions that may be late: `io` always is, `sleep` lets `sleep(d)` stand for an operation
            that takes at least `d`, `yield` lets `sleep(0)` stand for one.
        jitter: a sleep of `d` seconds ends between `d` and `jitter * d`; at least 1.
        timeouts: completions may come after a time-out that waits for them has fired.
        explore_time: real seconds after which no further schedule begins; None is without limit.
        surroundings: what is made anew around each schedule.
        progress: told after each schedule.
        name: of the test, for the report; the scenario's own if None.

    Returns:
        What was found.

    Raises:
        ExplorationError: a loop runs in this thread.
        ValueError: a setting is wrong.
        TypeError: the scenario returns no coroutine.

    Example:
        >>> import asyncio
        >>> async def scenario() -> None:
        ...     total = 0
        ...     async def add(delay: float) -> None:
        ...         nonlocal total
        ...         await asyncio.sleep(delay)
        ...         before = total
        ...         await asyncio.sleep(0.001)
        ...         total = before + 1
        ...     await asyncio.gather(add(0.001), add(0.005))
        ...     assert total == 2
        >>> explore(scenario).found_at
        3
    """
    _check_no_loop()
    settings = Settings.of(delay, jitter, timeouts)
    auto = Auto(seed, schedules)
    report = ExplorationReport()
    began = _real_time()
    for run in range(1, max(schedules, 1) + 1):
        strategy = auto.next()
        outcome = run_schedule(scenario, strategy, settings, surroundings)
        auto.note(outcome.decisions)
        report.runs = run
        report.single_holds, report.holds_done = auto.single_holds or 0, auto.holds_done
        if run == 1:
            settings = changed(settings, round_limit=_LIMIT_FACTOR * outcome.rounds + _LIMIT_BASE)
        if progress is not None:
            progress(
                Progress(
                    runs=run,
                    schedules=schedules,
                    holds_done=report.holds_done,
                    single_holds=report.single_holds,
                )
            )
        if outcome.error is not None:
            report.found_at = run
            report.seconds = _real_time() - began
            _examine(report, scenario, strategy, settings, outcome, surroundings, name)
            return report
        if auto.is_exhausted:
            report.exhausted = True
            break
        if explore_time is not None and _real_time() - began >= explore_time:
            break
    report.seconds = _real_time() - began
    return report


def replay(
    scenario: Scenario,
    token: str,
    *,
    surroundings: Surroundings = Surroundings(),  # noqa: B008 - frozen
    name: str | None = None,
) -> ExplorationReport:
    """Run one schedule of a scenario again.

    Must be called where no event loop runs.

    Args:
        scenario: as for `explore`.
        token: what the report of the failure says.
        surroundings: as for `explore`.
        name: of the test, for the report; the scenario's own if None.

    Returns:
        What was found: `found_at` is 1 when the schedule fails.

    Raises:
        BadTokenError: the text is no token.
        ExplorationError: a loop runs in this thread.
        TypeError: the scenario returns no coroutine.
    """
    _check_no_loop()
    parsed = parse_token(token)
    began = _real_time()
    outcome = run_schedule(scenario, parsed.strategy(), parsed.settings, surroundings)
    report = ExplorationReport(runs=1, seconds=_real_time() - began)
    if outcome.error is not None:
        report.found_at = 1
        _describe(report, scenario, parsed, outcome, surroundings, name, is_replay=True)
    return report


def _check_no_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise ExplorationError(running_loop_message())


def _examine(
    report: ExplorationReport,
    scenario: Scenario,
    strategy: Strategy,
    settings: Settings,
    outcome: Outcome,
    surroundings: Surroundings,
    name: str | None,
) -> None:
    """Reduce a failure, check that it is deterministic, and explain it."""

    def attempt(strategy: Strategy, settings: Settings) -> Outcome:
        return run_schedule(scenario, strategy, settings, surroundings)

    smallest, least = shrink(attempt, strategy, settings, outcome)
    token = Token(token_of(smallest, least), least, smallest.holds)
    _describe(report, scenario, token, outcome, surroundings, name, is_replay=False)


def _describe(
    report: ExplorationReport,
    scenario: Scenario,
    token: Token,
    outcome: Outcome,
    surroundings: Surroundings,
    name: str | None,
    *,
    is_replay: bool,
) -> None:
    assert outcome.error is not None
    verdict = check_determinism(scenario, token, outcome, surroundings)
    failure = outcome.error if verdict.error is None else verdict.error
    report.failure, report.token, report.holds = failure, token.text, token.holds
    report.is_deterministic = verdict.difference is None
    report.delay_class = None if token.text == "stock" else token.settings.delay[-1]
    findings = Findings(
        name=name or str(getattr(scenario, "__qualname__", "the scenario")),
        failure=failure,
        token=token,
        verdict=verdict,
        found_at=report.found_at or 1,
        single_holds=report.single_holds,
        holds_done=report.holds_done,
        runs=report.runs,
        is_replay=is_replay,
    )
    report.explanation = explain(findings)
    failure.add_note(report.explanation)
