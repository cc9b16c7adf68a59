"""The report of a failing schedule, as text: what it takes, who ran when, what was searched, how to replay it."""

from __future__ import annotations

import linecache
import os
from dataclasses import dataclass

from pytest_uno.explore.determinism import REPLAYS, Verdict
from pytest_uno.explore.operations import IO, SLEEP, YIELD
from pytest_uno.explore.tokens import Token
from pytest_uno.explore.trace import FIRED, HELD, RAN, Place, Step

__all__ = ["Findings", "explain"]

_CLASS = {
    IO: "class io: stock asyncio can do this",
    SLEEP: "class sleep: an asyncio.sleep() stands for an operation that can take longer",
    YIELD: "class yield: a sleep(0) stands for an operation that takes time",
}

_LINES, _SOURCE_WIDTH = 40, 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that is known of a failure.

    Attributes:
        name: of the test.
        failure: the exception.
        token: of the smallest schedule that gives it.
        verdict: what its replays have shown.
        found_at: the number of the schedule that found it, from 1.
        single_holds: how many schedules with one hold there are.
        holds_done: how many of them had run.
        runs: schedules that had run.
        is_replay: it was replayed, not searched for.
    """

    name: str
    failure: BaseException
    token: Token
    verdict: Verdict
    found_at: int
    single_holds: int
    holds_done: int
    runs: int
    is_replay: bool


def explain(findings: Findings) -> str:
    """Render the report of a failure.

    Args:
        findings: what is known of it.
    """
    lines = [_headline(findings)]
    steps = findings.verdict.steps
    if findings.token.text != "stock":
        lines += _what_it_takes(findings)
        home = _home(steps)
        lines += ["Who ran when                              (> held; repeated lines collapsed)"]
        lines += _timeline(steps, home)
    if not findings.is_replay:
        others = findings.runs - findings.holds_done - 1
        lines.append(
            f"Searched: stock order, 1-hold schedules {findings.holds_done} of {findings.single_holds}, "
            f"others {others}. {_determinism(findings.verdict)}"
        )
    else:
        lines.append(_determinism(findings.verdict))
    lines += _difference(findings.verdict)
    lines.append(f"Replay: pytest {findings.name!r} --uno-replay={findings.token.text}")
    return "\n".join(lines)


def _headline(findings: Findings) -> str:
    error = findings.failure
    message = next(iter(str(error).splitlines()), "")
    what = f"{type(error).__name__}: {message[:100]}" if message else type(error).__name__
    if findings.token.text == "stock":
        return f"uno: {what}, in stock order: it needs no special schedule"
    if findings.is_replay:
        return f"uno: {what}, in the replayed schedule"
    return f"uno: {what}, in a legal schedule ({_ordinal(findings.found_at)}; stock order passes)"


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def _what_it_takes(findings: Findings) -> list[str]:
    token = findings.token
    home = _home(findings.verdict.steps)
    reason = _CLASS[token.settings.delay[-1]]
    if token.settings.timeouts:
        reason += "; a time-out may fire before what it waits for comes"
    count = len(token.holds)
    if not count:
        return [
            f"What it takes: many delays      {reason}",
            "  no schedule with one or two holds gives this failure",
        ]
    lines = [f"What it takes: {count} delay{'s' * (count > 1)}        {reason}"]
    for step in findings.verdict.steps:
        if step.kind == HELD:
            place = step.before
            where = "" if place is None else f" at {_show(place, None)}   {_source(place)}"
            lines.append(f"  {step.who} was slow{where}   ({step.what})")
        elif step.kind == FIRED:
            lines.append("  a time-out fired first")
    del home
    return lines


def _timeline(steps: list[Step], home: str) -> list[str]:
    rows: list[str] = []
    index = 0
    width = min(max((len(step.who) for step in steps), default=0), 24)
    while index < len(steps):
        first = steps[index]
        last, count = first, 1
        if first.kind == RAN:
            while index + count < len(steps) and _continues(steps[index + count], first, last):
                last = steps[index + count]
                count += 1
        index += count
        moment = f"{first.time * 1e3:.1f}ms"
        if first.kind == RAN:
            origin = "start" if first.before is None else _show(first.before, home)
            target = last.end or (
                "?" if last.after is None else f"{_show(last.after, home)}  {_source(last.after)}"
            )
            times = f"   x{count}" if count > 1 else ""
            rows.append(f"  {moment:>9} {first.who:<{width}}  {origin} -> {target}{times}")
        elif first.kind == HELD:
            at = "" if first.before is None else _show(first.before, home)
            rows.append(f"> {moment:>9} {first.who:<{width}}  {at} HELD ({first.what})")
        else:
            rows.append(f"> {moment:>9} {first.who:<{width}}  FIRED")
    if len(rows) <= _LINES:
        return rows
    marked = next((place for place, row in enumerate(rows) if row.startswith(">")), 0)
    start = max(0, min(marked - _LINES // 4, len(rows) - _LINES))
    cut = rows[start : start + _LINES]
    before, after = start, len(rows) - start - len(cut)
    return (
        [f"    ... {before} lines before"] * (before > 0)
        + cut
        + [f"    ... {after} lines after"] * (after > 0)
    )


def _continues(step: Step, first: Step, last: Step) -> bool:
    return step.kind == RAN and step.who == first.who and not last.end


def _determinism(verdict: Verdict) -> str:
    if verdict.difference is None:
        return f"Deterministic: {verdict.equal} of {REPLAYS} replays equal."
    return f"NOT DETERMINISTIC: {verdict.equal} of {REPLAYS} replays equal."


def _difference(verdict: Verdict) -> list[str]:
    difference = verdict.difference
    if difference is None:
        return []
    lines = [f"  the first step that differs: {difference.index + 1}"]
    if difference.one is not None or difference.other is not None:
        lines += [f"    once:  {_step(difference.one)}", f"    again: {_step(difference.other)}"]
    lines.append(f"  likely cause: {difference.cause}")
    return lines


def _step(step: Step | None) -> str:
    if step is None:
        return "the run was over"
    before = "start" if step.before is None else _show(step.before, None)
    after = step.end or ("?" if step.after is None else _show(step.after, None))
    return f"{step.time * 1e3:.1f}ms {step.who} {step.kind}: {before} -> {after}"


def _home(steps: list[Step]) -> str:
    """Return the file that most steps are in; it is not named in each line."""
    counts: dict[str, int] = {}
    for step in steps:
        if step.before is not None:
            counts[step.before.file] = counts.get(step.before.file, 0) + 1
    return max(counts, key=lambda file: (counts[file], file)) if counts else ""


def _show(place: Place, home: str | None) -> str:
    return f":{place.line}" if place.file == home else f"{os.path.basename(place.file)}:{place.line}"


def _source(place: Place) -> str:
    return linecache.getline(place.file, place.line).strip()[:_SOURCE_WIDTH]
