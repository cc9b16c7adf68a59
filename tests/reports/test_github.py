from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pytest_uno.reports.github import escape_data, escape_property, render_github
from pytest_uno.reports.groups import Found, Group, RunSummary, group_findings
from tests.reports.workflow_commands import Command, parse_command, unescape_data, unescape_property

RUN = RunSummary(5, "3.12.1", "shop")


def commands(groups: list[Group]) -> list[Command]:
    parsed = [parse_command(line) for line in render_github(groups, RUN).splitlines()]
    known = [command for command in parsed if command is not None]
    assert len(known) == len(parsed)
    return known


def many(make_finding: Any, number: int, name: str = "poll", **judgement: Any) -> list[Group]:
    return group_findings(
        Found(make_finding(target=f"{name}_{index}"), f"tests/test_x.py::test_{index}", None, **judgement)
        for index in range(number)
    )


def test_nothing_to_say_without_leaks() -> None:
    assert render_github([], RUN) == ""


def test_what_fails_is_an_error_and_what_warns_a_warning(judged: list[Any]) -> None:
    lines = commands(group_findings(judged))
    assert [(command.name, command.properties["file"]) for command in lines] == [
        ("error", "shop/poller.py"),
        ("error", "shop/feed.py"),
        ("error", "shop/hub.py"),
        ("warning", "shop/images.py"),
    ]


def test_an_annotation_stands_at_the_creation(sightings: list[Any]) -> None:
    first = commands(group_findings(sightings))[0]
    assert first.properties == {"file": "shop/poller.py", "line": "11", "title": "UNO101 pending-task"}
    assert first.data.splitlines() == [
        "task 'receipt-poller' running poll(), seen in 2 tests, "
        "first tests/test_orders.py::test_checkout_sends_receipt",
        "fix: await it, cancel it in the fixture that owns it, or start it with manager.task_group()",
        "https://pytest-uno.readthedocs.io/en/stable/reference/leaks/UNO101.html",
    ]


def test_a_leak_of_a_library_is_shown_where_it_was_called(judged: list[Any]) -> None:
    server = [found._replace(status="new") for found in judged if found.finding.rule == "UNO402"]
    (command,) = commands(group_findings(server))
    assert (command.properties["file"], command.properties["line"]) == ("shop/app.py", "8")
    assert "created at /opt/python3.12/site-packages/web/serve.py:30 in serve" in command.data


def test_ten_are_all_shown(make_finding: Any) -> None:
    assert Counter(command.name for command in commands(many(make_finding, 10))) == {"error": 10}


def test_more_than_ten_of_a_type_are_counted_in_a_notice(make_finding: Any) -> None:
    groups = [
        *many(make_finding, 12),
        *many(make_finding, 11, "warned", status="allowed", level="warn"),
    ]
    lines = commands(groups)
    assert Counter(command.name for command in lines) == {"error": 10, "warning": 10, "notice": 1}
    assert lines[-1] == Command(
        "notice",
        {"title": "pytest-uno"},
        "2 more leaks and 1 more warning without an annotation: see the job's summary, or the end of the log",
    )


def test_the_leaks_of_most_tests_are_shown(make_finding: Any) -> None:
    rare = many(make_finding, 10)
    frequent = group_findings(
        Found(make_finding(subject="frequent", rule="UNO601"), f"tests/test_x.py::test_{index}")
        for index in range(2)
    )
    assert commands([*rare, *frequent])[0].data.startswith("frequent, seen in 2 tests")


# Mostly what has a meaning, which text at random has too seldom.
texts = st.text() | st.text("%\r\n:,=0AaDd235C ")


@given(texts)
def test_data_comes_back_and_is_one_line(text: str) -> None:
    escaped = escape_data(text)
    assert unescape_data(escaped) == text
    assert not set("\r\n") & set(escaped)


@given(texts, texts)
def test_properties_come_back_and_end_neither_list_nor_command(first: str, second: str) -> None:
    # The runner trims the list as a whole.
    line = f"::error a={escape_property(first)},b=x{escape_property(second)}x::{escape_data(second)}"
    assert unescape_property(escape_property(first)) == first
    assert parse_command(line) == Command("error", {"a": first, "b": f"x{second}x"}, second)
