"""The HTML report: one file that needs no network, and no JavaScript but for its filter."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from pytest_uno._version import __version__
from pytest_uno.reports.creators import Creator, by_creator, count_tests
from pytest_uno.reports.groups import Group, RunSummary
from pytest_uno.reports.html_leaks import render_creator
from pytest_uno.reports.html_summary import render_creator_table, render_rule_table, render_rules
from pytest_uno.reports.html_text import MANY, name, plain
from pytest_uno.reports.kinds import Kind, by_kind
from pytest_uno.reports.wording import count_of

__all__ = ["render_html"]

_MEANINGS: Mapping[Kind, str] = {
    "new": "These fail the run.",
    "warned": "The level of these rules is <code>warn</code>: they are reported and fail nothing.",
    "baseline": "These are in the baseline: they fail nothing as long as they stand in it.",
    "allowed": "The settings or a marker of the test allow these: they fail nothing.",
}
_NOUNS: Mapping[Kind, str] = {
    "new": "new leak",
    "warned": "warning",
    "baseline": "known leak",
    "allowed": "allowed leak",
}
_OPEN: tuple[Kind, ...] = ("new", "warned")


def render_html(groups: Sequence[Group], run: RunSummary) -> str:
    """Render the report as a page.

    Args:
        groups: the leaks, in whatever order.
        run: the run that they were found in.

    Returns:
        The text of the file, the same for the same leaks.
    """
    parts: dict[Kind, Sequence[Creator]] = {
        kind: by_creator(members) for kind, members in by_kind(groups).items() if members
    }
    if groups:
        body = "\n".join(
            (
                _toolbar(parts),
                '<main id="content">',
                _summary(groups, parts),
                *(_part(kind, creators) for kind, creators in parts.items()),
                '<p id="no-match" hidden>No leak matches the filter.</p>',
                _meanings(groups),
                "</main>",
            )
        )
    else:
        body = _clean(run)
    return _frame(_title(parts), _header(groups, parts, run), body, has_script=bool(groups))


def _frame(title: str, header: str, body: str, *, has_script: bool) -> str:
    style, script = _asset("page.css"), _asset("page.js") if has_script else ""
    # Only what the hashes name may run or style: what comes from users' programs never does, even if it slips through.
    policy = f"default-src 'none'; style-src '{_hash(style)}'; base-uri 'none'; form-action 'none'"
    if script:
        policy += f"; script-src '{_hash(script)}'"
    skip = '<a class="skip" href="#content">Skip to the leaks</a>\n' if has_script else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n{skip}{header}\n{body}\n"
        + (f"<script>{script}</script>\n" if script else "")
        + "</body>\n</html>\n"
    )


def _title(parts: Mapping[Kind, Sequence[Creator]]) -> str:
    if not parts:
        return "No leaks"
    for kind in _OPEN:
        leaks = _leaks(parts.get(kind, ()))
        if leaks:
            return f"{count_of(len(leaks), _NOUNS[kind])} in {count_of(count_tests(leaks), 'test')}"
    return "No new leaks"


def _header(groups: Sequence[Group], parts: Mapping[Kind, Sequence[Creator]], run: RunSummary) -> str:
    facts = [
        f"project {name(run.project, 'strong')}" if run.project else "",
        f"{count_of(run.tests, 'test')} judged",
        f"Python {plain(run.python)}" if run.python else "",
        f"pytest-uno {plain(__version__)}",
    ]
    chips = "".join(
        f'<li><a href="#{kind}"><strong>{len(_leaks(creators)):,}</strong> {MANY[kind]}</a></li>'
        for kind, creators in parts.items()
    )
    affected = count_tests(groups)
    return (
        f"<header>\n<h1>{_title(parts)}</h1>\n"
        f'<p class="facts">{" · ".join(fact for fact in facts if fact)}</p>\n'
        + (f'<ul class="chips">{chips}<li>{count_of(affected, "test")} affected</li></ul>\n' if chips else "")
        + "</header>"
    )


def _toolbar(parts: Mapping[Kind, Sequence[Creator]]) -> str:
    boxes = "".join(
        f'<label class="{kind}"><input type="checkbox" name="kind" value="{kind}" checked> '
        f"{MANY[kind]} ({len(_leaks(creators)):,})</label>"
        for kind, creators in parts.items()
    )
    return (
        '<form id="filter" class="needs-js" role="search" aria-label="Filter the leaks">\n'
        '<label class="words"><span>Filter <kbd>/</kbd></span>'
        '<input type="search" name="words" placeholder="test, file, function or rule" autocomplete="off" '
        'spellcheck="false"></label>\n'
        f'<fieldset><legend class="unseen">Status</legend>{boxes}</fieldset>\n'
        '<output id="shown" aria-live="polite"></output>\n'
        '<button type="button" id="fold">Collapse all</button>\n'
        '<span id="said" class="unseen" role="status"></span>\n</form>'
    )


def _summary(groups: Sequence[Group], parts: Mapping[Kind, Sequence[Creator]]) -> str:
    # A narrow screen has no room for the numbers of what was judged before, unless there is nothing else.
    narrow = " urgent" if any(kind in _OPEN for kind in parts) else ""
    return (
        '<section id="summary" aria-labelledby="summary-name">\n<h2 id="summary-name">Summary</h2>\n'
        f'<div class="tables{narrow}"><div>{render_rule_table(groups, tuple(parts))}</div>\n'
        f"<div>{render_creator_table(parts)}</div></div>\n</section>"
    )


def _part(kind: Kind, creators: Sequence[Creator]) -> str:
    number = len(_leaks(creators))
    head = f'<h2 id="{kind}-name">{count_of(number, _NOUNS[kind])}</h2>'
    meaning = f'<p class="meaning-of-kind">{_MEANINGS[kind]}</p>'
    content = "\n".join(render_creator(kind, creator) for creator in creators)
    if kind not in _OPEN:
        head, content = f'<details class="part"><summary>{head}</summary>', f"{content}\n</details>"
    return f'<section class="kind" id="{kind}" aria-labelledby="{kind}-name">\n{head}\n{meaning}\n{content}\n</section>'


def _meanings(groups: Sequence[Group]) -> str:
    return (
        '<section id="rules" aria-labelledby="rules-name">\n<h2 id="rules-name">The rules</h2>\n'
        f"{render_rules(groups)}\n</section>"
    )


def _clean(run: RunSummary) -> str:
    if not run.tests:
        said = "No test was judged: none ran, or the detectors are switched off."
    else:
        tests = "The test" if run.tests == 1 else f"All {count_of(run.tests, 'test')}"
        said = f"{tests} left nothing behind: no task, no connection, no file."
    return f'<main id="content">\n<p class="clean">{said}</p>\n</main>'


def _leaks(creators: Sequence[Creator]) -> list[Group]:
    return [group for creator in creators for group in creator.groups]


@cache
def _asset(file: str) -> str:
    # The file's own line ends would change the hash where a checkout has made others of them.
    text = files("pytest_uno.reports").joinpath("html_page", file).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
