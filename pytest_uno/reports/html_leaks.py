"""The HTML of leaks: a creator's part of the page, and the leaks in it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from pytest_uno.leaks.model import Frame
from pytest_uno.leaks.rules import RULES
from pytest_uno.reports.creators import Creator
from pytest_uno.reports.groups import Group
from pytest_uno.reports.html_text import ONE, block, code, name, plain, prose
from pytest_uno.reports.kinds import Kind, kind_of
from pytest_uno.reports.wording import as_sentence, count_of

__all__ = ["creator_anchor", "render_creator"]

_TESTS_SHOWN = 5
_DETAIL_LINES = 12


def creator_anchor(kind: Kind, creator: Creator) -> str:
    """Return the ID of a creator's part of the page, which stays the same from run to run.

    Args:
        kind: the kind of the leaks: a creator may have a part in several.
        creator: the creator.
    """
    identity = f"{creator.file}\0{creator.function}".encode("utf-8", "surrogatepass")
    return f"{kind}-{hashlib.sha256(identity).hexdigest()[:12]}"


def render_creator(kind: Kind, creator: Creator) -> str:
    """Render the leaks of one creator.

    Args:
        kind: the kind of all its leaks.
        creator: the creator.
    """
    size = f"{count_of(len(creator.groups), 'leak')} · {count_of(creator.tests, 'test')}"
    head = f"{code(creator.function)} <span class=in>in {code(creator.file)}</span>"
    leaks = "\n".join(map(_leak, creator.groups))
    return (
        f'<details class="creator" id="{creator_anchor(kind, creator)}" open>\n'
        f'<summary><h3>{head}</h3> <span class="size">{size}</span></summary>\n{leaks}\n</details>'
    )


def _leak(group: Group) -> str:
    rule, kind = RULES[group.finding.rule], kind_of(group)
    anchor = plain(group.fingerprint)
    rows = "\n".join(f"<dt>{label}</dt><dd>{value}</dd>" for label, value in _rows(group))
    return (
        f'<article class="leak" id="{anchor}" data-kind="{kind}" aria-labelledby="{anchor}-name">\n'
        f'<h4 id="{anchor}-name"><span class="badge {kind}">{ONE[kind]}</span> '
        f'<a class="rule" href="#rule-{rule.code}">{rule.code}</a> {name(group.finding.subject)}</h4>\n'
        f'<p class="what">{prose(rule.title)} <span class="size">{_extent(group)}</span></p>\n'
        f"<dl>\n{rows}\n</dl>\n</article>"
    )


def _extent(group: Group) -> str:
    tests = len(group.tests)
    found = "" if group.count == tests else f", found {count_of(group.count, 'time')}"
    return f"{count_of(tests, 'test')}{found}"


def _rows(group: Group) -> Iterator[tuple[str, str]]:
    finding, rule = group.finding, RULES[group.finding.rule]
    if group.reason:
        yield "Allowed because", name(group.reason)
    yield "Created", _frames(finding.created, "called from")
    if finding.waiting_at:
        yield "Still waiting", _frames(finding.waiting_at, "awaited in")
    if finding.waiting_at or finding.awaited_by is not None:
        yield "Awaited by", name(finding.awaited_by or "nobody")
    if finding.owner.kind == "fixture":
        yield "Owner", name(finding.owner.describe())
    if finding.details:
        yield "Details", _details(finding.details)
    more = f'<a href="{plain(rule.docs)}">Read more about {rule.code}</a>'
    yield "How to fix", f"{prose(as_sentence(rule.fix))} {more}"
    yield "Seen in", _tests(group.tests)
    anchor = plain(group.fingerprint)
    yield "Leak id", f'<a class="id" href="#{anchor}"><code>{anchor}</code></a>'


def _frames(frames: Sequence[Frame], callers: str) -> str:
    first, *others = map(_frame, frames)
    if not others:
        return first
    return f"{first}<details><summary>{callers} ({len(others)})</summary>{''.join(others)}</details>"


def _frame(frame: Frame) -> str:
    place = f"{code(f'{frame.file}:{frame.line}')} in {code(frame.function)}"
    return f'<div class="frame">{place}{block(frame.code) if frame.code else ""}</div>'


def _details(text: str) -> str:
    lines = text.count("\n") + 1
    if lines <= _DETAIL_LINES:
        return block(text)
    return f"<details><summary>{count_of(lines, 'line')}</summary>{block(text)}</details>"


def _tests(tests: Sequence[str]) -> str:
    items = [f"<li>{code(test)}</li>" for test in tests]
    listed = f'<ul class="tests">{"".join(items[:_TESTS_SHOWN])}</ul>'
    # One more would take the room of the words that hide it.
    if len(items) == _TESTS_SHOWN + 1:
        listed = f'<ul class="tests">{"".join(items)}</ul>'
    elif len(items) > _TESTS_SHOWN:
        rest = items[_TESTS_SHOWN:]
        listed += (
            f"<details><summary>and {count_of(len(rest), 'more test')}</summary>"
            f'<ul class="tests">{"".join(rest)}</ul></details>'
        )
    label = "Copy node ID" if len(items) == 1 else f"Copy {len(items):,} node IDs"
    return f'{listed}<button type="button" class="copy needs-js">{label}</button>'
