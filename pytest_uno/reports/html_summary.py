"""The HTML of the tables: the leaks by rule and by creator, and what each rule means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from pytest_uno.leaks.rules import FAMILIES, RULES
from pytest_uno.reports.creators import Creator, by_creator, count_tests
from pytest_uno.reports.groups import Group
from pytest_uno.reports.html_leaks import creator_anchor
from pytest_uno.reports.html_text import MANY, code, plain, prose
from pytest_uno.reports.kinds import Kind, kind_of
from pytest_uno.reports.wording import as_sentence, count_of

__all__ = ["render_creator_table", "render_rule_table", "render_rules"]

_FAMILY_NAMES: Mapping[str, str] = {
    "UNO1xx": "Tasks",
    "UNO2xx": "Coroutines, generators and loop handles",
    "UNO3xx": "Database",
    "UNO4xx": "Files, sockets, processes and threads",
    "UNO5xx": "Resources and state",
    "UNO6xx": "A blocked loop",
    "UNO9xx": "The harness itself",
}
_CREATORS_SHOWN = 12


def render_rule_table(groups: Sequence[Group], kinds: Sequence[Kind]) -> str:
    """Render the leaks by family of rules, and by rule.

    Args:
        groups: all leaks.
        kinds: the kinds that there are.
    """
    bodies = "\n".join(filter(None, (_family(family, groups, kinds) for family in FAMILIES)))
    return _table("Leaks by rule", "Rule", kinds, bodies)


def render_creator_table(parts: Mapping[Kind, Sequence[Creator]]) -> str:
    """Render the leaks by the function that made what leaked, in the order of the page.

    Args:
        parts: the creators by the kind of their leaks.
    """
    anchors: dict[tuple[str, str], str] = {}
    groups: list[Group] = []
    for kind, creators in parts.items():
        for creator in creators:
            anchors.setdefault((creator.file, creator.function), creator_anchor(kind, creator))
            groups.extend(creator.groups)
    whole = {(creator.file, creator.function): creator for creator in by_creator(groups)}
    kinds = tuple(parts)
    rows = [_creator_row(whole[key], anchor, kinds) for key, anchor in anchors.items()]
    shown, rest = rows[:_CREATORS_SHOWN], rows[_CREATORS_SHOWN:]
    table = _table("Leaks by creator", "Created in", kinds, f"<tbody>{''.join(shown)}</tbody>")
    if not rest:
        return table
    more = _table("The other creators", "Created in", kinds, f"<tbody>{''.join(rest)}</tbody>")
    return f"{table}\n<details><summary>and {count_of(len(rest), 'more creator')}</summary>{more}</details>"


def render_rules(groups: Sequence[Group]) -> str:
    """Render what each rule that found something means, and where its leaks stand.

    Args:
        groups: all leaks.
    """
    return "\n".join(_rule(rule, leaks) for rule, leaks in _by_rule(groups))


def _by_rule(groups: Sequence[Group], family: str = "") -> Iterator[tuple[str, list[Group]]]:
    for rule in RULES:
        if rule.startswith(family.removesuffix("xx")):
            leaks = [group for group in groups if group.finding.rule == rule]
            leaks.sort(key=lambda group: (-len(group.tests), group.fingerprint))
            if leaks:
                yield rule, leaks


def _family(family: str, groups: Sequence[Group], kinds: Sequence[Kind]) -> str:
    rows = "".join(
        f'<tr><th scope="row"><a href="#rule-{rule}">{rule}</a> {RULES[rule].name}</th>'
        f"{_numbers(leaks, kinds)}</tr>"
        for rule, leaks in _by_rule(groups, family)
    )
    if not rows:
        return ""
    members = [group for group in groups if group.finding.rule.startswith(family.removesuffix("xx"))]
    head = (
        f'<tr class="family"><th scope="rowgroup">{_FAMILY_NAMES[family]}</th>{_numbers(members, kinds)}</tr>'
    )
    return f"<tbody>{head}{rows}</tbody>"


def _creator_row(creator: Creator, anchor: str, kinds: Sequence[Kind]) -> str:
    link = f'<a href="#{anchor}">{code(creator.function)}</a> <span class="in">in {code(creator.file)}</span>'
    return f'<tr><th scope="row">{link}</th>{_numbers(creator.groups, kinds)}</tr>'


def _numbers(groups: Sequence[Group], kinds: Sequence[Kind]) -> str:
    leaks = Counter(map(kind_of, groups))
    cells = "".join(f'<td class="{kind}">{_number(leaks[kind])}</td>' for kind in kinds)
    return f"{cells}<td>{count_tests(groups):,}</td>"


def _number(number: int) -> str:
    # An empty cell is read faster than a zero.
    return f"{number:,}" if number else ""


def _table(caption: str, first: str, kinds: Sequence[Kind], bodies: str) -> str:
    heads = "".join(f'<th scope="col" class="{kind}">{MANY[kind]}</th>' for kind in kinds)
    return (
        f'<table><caption>{caption}</caption><thead><tr><th scope="col">{first}</th>{heads}'
        f'<th scope="col">tests</th></tr></thead>\n{bodies}</table>'
    )


def _rule(code_of_rule: str, groups: Sequence[Group]) -> str:
    rule = RULES[code_of_rule]
    links = ", ".join(
        f'<a href="#{plain(group.fingerprint)}"><code>{plain(group.fingerprint[:8])}</code></a>'
        for group in groups
    )
    listed = f"<p>{count_of(len(groups), 'leak')}: {links}</p>"
    if len(groups) > _CREATORS_SHOWN:
        listed = f"<details><summary>{count_of(len(groups), 'leak')}</summary><p>{links}</p></details>"
    return (
        f'<article class="meaning" id="rule-{rule.code}" aria-labelledby="rule-{rule.code}-name">\n'
        f'<h3 id="rule-{rule.code}-name">{rule.code} {rule.name}</h3>\n'
        f"<p>{prose(as_sentence(rule.title))} To fix it: {prose(rule.fix)}. "
        f'<a href="{plain(rule.docs)}">Read more about {rule.code}</a></p>\n'
        f'{listed}<button type="button" class="only needs-js" data-words="{rule.code}">'
        f"Show only these leaks</button>\n</article>"
    )
