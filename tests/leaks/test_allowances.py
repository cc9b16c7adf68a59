"""Patterns of what may leak: what is read, what is refused, what they cover."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_uno.leaks.allowances import (
    Allowance,
    find_allowances_problem,
    matching,
    read_allowance,
    read_allowances,
)
from pytest_uno.leaks.model import Finding, Frame, OwnerInfo


def finding(
    rule: str = "UNO101", file: str = "shop/poller.py", function: str = "start_poller", in_app: bool = True
) -> Finding:
    created = (
        Frame(file, 11, function, "create_task(poll())", in_app),
        Frame("tests/test_orders.py", 23, "test_checkout", "start_poller()", True),
    )
    return Finding(rule, "a task", "poll", created, (), None, OwnerInfo("test", "test_it", "function"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("UNO101", Allowance("UNO101")),
        (" UNO1xx : the loop's own ", Allowance("UNO1xx", reason="the loop's own")),
        ("UNO101 shop/poller.py::start", Allowance("UNO101", "shop/poller.py", "start")),
        (
            "UNO101  shop/poller.py::start_poller: lives: as long",
            Allowance("UNO101", "shop/poller.py", "start_poller", "lives: as long"),
        ),
        (
            "UNO101 my shop/*.py::Hub.<locals>.<lambda>: x",
            Allowance("UNO101", "my shop/*.py", "Hub.<locals>.<lambda>", "x"),
        ),
        ("UNO101 C:/x/a.py::f: r", Allowance("UNO101", "C:/x/a.py", "f", "r")),
        ("UNO101: since 10:30 in poller.py:11", Allowance("UNO101", reason="since 10:30 in poller.py:11")),
    ],
)
def test_what_is_read(text: str, expected: Allowance) -> None:
    assert read_allowance(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "write a rule, a place and a reason, as 'UNO101 shop/poller.py::start_poller: lives"),
        ("UNO1O1 a.py::f: x", "unknown rule 'UNO1O1': did you mean 'UNO101'?"),
        ("UNO7xx a.py::f: x", "unknown rule 'UNO7xx'"),
        ("UNO101 shop/poller.py: x", "write a rule, a place and a reason"),
        ("UNO101 tests/test_a.py::TestA::test_a: x", "write a rule, a place and a reason"),
        ("UNO101 shop\\poller.py::f: x", "write the path with '/', as 'shop/poller.py'"),
        ("UNO101 shop/poller.py:11", "never by line, which moves: name the function that creates"),
        ("UNO101 shop/poller.py::11: x", "never by line"),
        ("UNO101 shop/poller.py:11 in start: task 'x'", "as 'shop/poller.py::start'"),
        ("UNO101 shop/poller.py:11::start: x", "as 'shop/poller.py::start'"),
    ],
)
@pytest.mark.parametrize("needs_all", [True, False])
def test_what_is_refused(text: str, expected: str, needs_all: bool) -> None:
    with pytest.raises(ValueError) as caught:
        read_allowance(text, needs_all=needs_all)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("UNO101", "name what creates it, as 'UNO101 shop/poller.py::start_poller: "),
        ("UNO101: why", "name what creates it"),
        ("UNO101 a.py::f", "say why it may leak, behind a colon"),
        ("UNO101 a.py::f: ", "say why it may leak, behind a colon"),
    ],
)
def test_what_the_ini_file_must_say(text: str, expected: str) -> None:
    read_allowance(text)
    with pytest.raises(ValueError) as caught:
        read_allowance(text, needs_all=True)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "covered"),
    [
        ("UNO101", True),
        ("UNO1xx", True),
        ("UNO102", False),
        ("UNO2xx", False),
        ("UNO101 shop/poller.py::start_poller", True),
        ("UNO102 shop/poller.py::start_poller", False),
        ("UNO101 poller.py::start_poller", False),
        ("UNO101 */poller.py::start_poller", True),
        ("UNO101 shop/*::start_*", True),
        ("UNO101 shop/poller?py::start_poller", True),
        ("UNO101 shop/poller.p::start_poller", False),
        ("UNO101 shop/poller.py::start", False),
        ("UNO101 shop/poller.py::Start_poller", False),
        ("UNO101 shop/[p]oller.py::*", False),
        ("UNO101 tests/*::*", False),
        ("UNO101 *::*", True),
    ],
)
def test_what_is_covered(pattern: str, covered: bool) -> None:
    assert read_allowance(pattern).covers(finding()) is covered


@pytest.mark.parametrize(
    "file",
    ["/opt/python3.12/site-packages/feed/core.py", "C:\\Python312\\Lib\\site-packages\\feed\\core.py"],
)
def test_a_library_is_named_below_its_installation(file: str) -> None:
    of_library = finding(file=file, function="Feed.open", in_app=False)
    assert read_allowance("UNO101 */site-packages/feed/*::Feed.*").covers(of_library)
    assert not read_allowance("UNO101 */site-packages/fee/*::Feed.*").covers(of_library)


def test_brackets_of_a_test_stand_for_themselves() -> None:
    of_test = finding(function="test_it[a.b-c*]")
    assert read_allowance("UNO101 *::test_it[a.b-c*]").covers(of_test)
    assert not read_allowance("UNO101 *::test_it[a?c]").covers(of_test)


TEXT = st.text(st.characters(exclude_characters=":\\*?", exclude_categories=["Z", "C"]), min_size=1)


@settings(deadline=None)
@given(TEXT.filter(lambda text: not text.isdigit()), TEXT.filter(lambda text: not text.isdigit()))
def test_a_place_covers_itself_and_is_read_as_it_is_written(file: str, function: str) -> None:
    allowance = Allowance("UNO101", file, function, "why")
    assert read_allowance(f"{allowance.pattern}: why") == allowance
    assert allowance.covers(finding(file=file, function=function))
    assert not allowance.covers(finding(file=file, function=function + "x"))
    assert Allowance("UNO101", f"*{file[1:]}", f"{function[:-1]}?").covers(
        finding(file=file, function=function)
    )


def test_matching_keeps_the_order() -> None:
    patterns = [Allowance("UNO102"), Allowance("UNO1xx"), Allowance("UNO101", "shop/*", "*")]
    assert matching(patterns, finding()) == patterns[1:]
    assert matching((), finding()) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ()),
        ((), ()),
        ([], ()),
        ("UNO102", (Allowance("UNO102"),)),
        (["UNO102", "UNO1xx: why"], (Allowance("UNO102"), Allowance("UNO1xx", reason="why"))),
        ({"UNO101 a.py::f": " why "}, (Allowance("UNO101", "a.py", "f", "why"),)),
    ],
)
def test_what_a_marker_may_say(value: object, expected: tuple[Allowance, ...]) -> None:
    assert read_allowances(value) == expected
    assert find_allowances_problem(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("UNO1O2", "did you mean 'UNO102'?"),
        (["UNO102", "UNO1O2"], "did you mean 'UNO102'?"),
        ({"UNO1O2": "why"}, "did you mean 'UNO102'?"),
        ({"UNO102": 1}, "give a dict of patterns and their reasons"),
        ({102: "why"}, "give a dict of patterns and their reasons"),
        ({"UNO102: a": "b"}, "has a reason of its own"),
        (102, "give a rule, as 'UNO102'"),
        ([102], "give a rule, as 'UNO102'"),
        (b"UNO102", "give a rule, as 'UNO102'"),
        (True, "give a rule, as 'UNO102'"),
    ],
)
def test_what_a_marker_may_not_say(value: Any, expected: str) -> None:
    assert expected in (find_allowances_problem(value) or "")
