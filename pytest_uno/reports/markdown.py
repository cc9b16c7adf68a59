"""The report as Markdown, for the summary of a job: a table, and one block to unfold for each new leak."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence

from pytest_uno.leaks.rules import RULES
from pytest_uno.reports.groups import Group, RunSummary
from pytest_uno.reports.kinds import KINDS, by_kind
from pytest_uno.reports.plain_text import one_line, shorten
from pytest_uno.reports.terminal import render_finding
from pytest_uno.reports.wording import count_of, name

__all__ = ["inline_code", "render_markdown"]

# GitHub drops the whole summary of a step above 1 MiB, and others write there as well.
_MOST_BYTES = 512 * 1024
_MOST_TABLE_BYTES = _MOST_BYTES // 4
_LINE_LENGTH = 500
_TESTS_SHOWN = 20

_HEAD = "| rule | what | created at | tests | id |\n|---|---|---|---:|---|\n"
_HEAD_WITH_REASON = "| rule | what | created at | tests | id | reason |\n|---|---|---|---:|---|---|\n"

_SPECIAL = re.compile(r"[|`]")
_PUNCTUATION = re.compile(r"[^\w\s]|_")
_BACKTICKS = re.compile(r"`+")


def render_markdown(groups: Sequence[Group], run: RunSummary) -> str:
    """Render the report.

    Args:
        groups: the leaks, in the order of the report.
        run: the run that they were found in.

    Returns:
        The text, which says what it leaves out to stay below 512 KiB.
    """
    kinds = by_kind(groups)
    new, warned, known, allowed = (kinds[kind] for kind in KINDS)
    folded = [
        _unfold(title, _table(members, _MOST_TABLE_BYTES // 2, with_reason=members is allowed))
        for members, title in (
            (warned, f"{count_of(len(warned), 'leak')} that only {'warns' if len(warned) == 1 else 'warn'}"),
            (known, f"{count_of(len(known), 'known leak')} in the baseline"),
            (allowed, count_of(len(allowed), "allowed leak")),
        )
        if members
    ]
    parts = [_headline(groups, new, warned, run)]
    if new:
        parts.append(_table(new, _MOST_TABLE_BYTES))
    # The blocks take the room that the tables leave.
    parts += _blocks(new, _MOST_BYTES - sum(_size(part) + 1 for part in (*parts, *folded)))
    return "\n".join([*parts, *folded])


def inline_code(text: str) -> str:
    r"""Show a name as code, so that nothing in it is Markdown or HTML, also in a cell of a table.

    Args:
        text: the name.

    Example:
        >>> print(inline_code("<b>"), inline_code("a|b"))
        `<b>` <code>a&#124;b</code>
    """
    shown = name(text) or " "
    if not _SPECIAL.search(shown) and shown.strip():
        return f"`{shown}`"
    # Readers disagree on how a pipe is escaped in code, and no backslash escapes a backtick there.
    return f"<code>{_PUNCTUATION.sub(lambda match: f'&#{ord(match[0])};', shown)}</code>"


def _headline(groups: Sequence[Group], new: Sequence[Group], warned: Sequence[Group], run: RunSummary) -> str:
    if new:
        tests = len({test for group in new for test in group.tests})
        return f"### :x: {count_of(len(new), 'async leak')} in {count_of(tests, 'test')}\n"
    if warned:
        return f"### :warning: {count_of(len(warned), 'async leak')}, which failed no test\n"
    which = "new async leaks" if groups else "async leaks"
    return f"### :white_check_mark: No {which} in {count_of(run.tests, 'test')}\n"


def _table(members: Sequence[Group], most: int, *, with_reason: bool = False) -> str:
    rows, left_out = _fill(members, lambda group: _row(group, with_reason), most)
    table = (_HEAD_WITH_REASON if with_reason else _HEAD) + "".join(rows)
    return table + (f"\n{_left_out(left_out)}\n" if left_out else "")


def _row(group: Group, with_reason: bool) -> str:
    finding, rule = group.finding, RULES[group.finding.rule]
    origin = finding.created[0]
    cells = [
        f"[{rule.code}]({rule.docs})",
        inline_code(finding.subject),
        f"{inline_code(f'{shorten(origin.file)}:{origin.line}')} in {inline_code(origin.function)}",
        str(len(group.tests)),
        f"`{group.fingerprint}`",
    ]
    if with_reason:
        cells.append(inline_code(group.reason) if group.reason else "")
    return f"| {' | '.join(cells)} |\n"


def _blocks(new: Sequence[Group], most: int) -> Iterable[str]:
    blocks, left_out = _fill(new, _block, most)
    yield from blocks
    if left_out:
        yield f"{_left_out(left_out)}\n"


def _block(group: Group) -> str:
    finding = group.finding
    lines = [*render_finding(finding).splitlines(), "", "seen in:"]
    lines += [f"  {one_line(test)}" for test in group.tests[:_TESTS_SHOWN]]
    if len(group.tests) > _TESTS_SHOWN:
        lines.append(f"  and {count_of(len(group.tests) - _TESTS_SHOWN, 'more test')}")
    text = "\n".join(shorten(line, _LINE_LENGTH) for line in lines)
    fence = "`" * max(3, *(len(ticks) + 1 for ticks in ("", *_BACKTICKS.findall(text))))
    title = f"{finding.rule} <code>{html.escape(name(finding.subject))}</code>"
    return _unfold(title, f"{fence}text\n{text}\n{fence}\n")


def _unfold(title: str, body: str) -> str:
    # The blank lines end the HTML, so that the body is Markdown again.
    return f"<details><summary>{title}</summary>\n\n{body}\n</details>\n"


def _fill(members: Sequence[Group], render: Callable[[Group], str], most: int) -> tuple[list[str], int]:
    texts: list[str] = []
    for group in members:
        text = render(group)
        most -= _size(text) + 1
        if most < 0:
            break
        texts.append(text)
    return texts, len(members) - len(texts)


def _left_out(number: int) -> str:
    return f"_{count_of(number, 'more leak')} left out here: the reports `html` and `json` have all._"


def _size(text: str) -> int:
    return len(text.encode())
