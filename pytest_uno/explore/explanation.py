"""The report of a failing schedule, as text: what it takes, who ran when, what was searched, how to replay it."""

from __future__ import annotations

import linecache
import os
from dataclasses import dataclass

from pytest_uno.core.errors import DeadlockError
from pytest_uno.explore.determinism import REPLAYS, Verdict
from pytest_uno.explore.operations import IO, SLEEP, YIELD
from pytest_uno.explore.tokens import Token
from pytest_uno.explore.trace import FIRED, HELD, RAN, Place, Step

__all__ = ["Findings", "collapse", "explain"]

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
    if isinstance(findings.failure, DeadlockError) and findings.verdict.wake_ups:
        lines += ["Who was woken before", *findings.verdict.wake_ups]
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
    return lines


def _timeline(steps: list[Step], home: str) -> list[str]:
    rows = collapse(_rows([step for step in steps if not step.is_librarys], home))
    if len(rows) <= _LINES:
        return rows
    marked = next((place for place, row in enumerate(rows) if row.startswith(">")), 0)
    start = max(0, min(marked - _LINES // 4, len(rows) - _LINES))
    end = start + _LINES
    before = [f"    ... {start} lines before"] if start else []
    after = [f"    ... {len(rows) - end} lines after"] if end < len(rows) else []
    return before + rows[start:end] + after


def _rows(steps: list[Step], home: str) -> list[tuple[str, str]]:
    """Return each row as its moment and its text; steps of one task that follow each other are one row."""
    rows: list[tuple[str, str]] = []
    width = min(max((len(step.who) for step in steps), default=0), 24)
    index = 0
    while index < len(steps):
        first = last = steps[index]
        count = 1
        while index + count < len(steps) and _continues(steps[index + count], last):
            last = steps[index + count]
            count += 1
        following = index + count
        moment = f"{first.time * 1e3:.1f}ms"
        origin = "start" if first.before is None else _show(first.before, home)
        if first.kind == RAN:
            target = last.end or (
                "?" if last.after is None else f"{_show(last.after, home)}  {_source(last.after)}"
            )
            times = f"   x{count}" if count > 1 else ""
            rows.append((f"  {moment:>9} ", f"{first.who:<{width}}  {origin} -> {target}{times}"))
        elif first.kind == HELD:
            at = "" if first.before is None else f"{origin} "
            until = _blocked_when_released(steps, index)
            rows.append((f"> {moment:>9} ", f"{first.who:<{width}}  {at}HELD{until}"))
        else:
            rows.append((f"> {moment:>9} ", f"{first.who:<{width}}  FIRED"))
        index = following
    return rows


def _blocked_when_released(steps: list[Step], index: int) -> str:
    """Say who had to stop before an operation that was on hold came."""
    held = steps[index]
    released = next(
        (place for place in range(index + 1, len(steps)) if steps[place].who == held.who), len(steps)
    )
    before = [step.who for step in steps[index + 1 : released] if step.kind == RAN]
    return f" until {before[-1]} could not go on" if before and released < len(steps) else ""


def collapse(rows: list[tuple[str, str]]) -> list[str]:
    """Show a group of up to three rows that repeats itself once, with the number of times.

    Args:
        rows: each its moment and its text; moments may differ.
    """
    lines: list[str] = []
    index = 0
    while index < len(rows):
        size, times = _longest_repeat(rows, index)
        for moment, text in rows[index : index + size]:
            lines.append(moment + text)
        if times > 1:
            lines[-1] += f"   (these {size} lines x{times})" if size > 1 else f"   x{times}"
        index += size * times
    return lines


def _longest_repeat(rows: list[tuple[str, str]], start: int) -> tuple[int, int]:
    """Return the size of the group that begins here and repeats itself most, and how often it comes."""
    best = (1, 1)
    for size in (1, 2, 3):
        group = [text for _, text in rows[start : start + size]]
        times = 1
        while [text for _, text in rows[start + size * times : start + size * (times + 1)]] == group:
            times += 1
        if times > 1 and size * times > best[0] * best[1]:
            best = (size, times)
    return best


def _continues(step: Step, last: Step) -> bool:
    return step.kind == last.kind == RAN and step.who == last.who and not last.end


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
