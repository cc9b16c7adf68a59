"""Levels: which place counts for a rule, and what is refused."""

from __future__ import annotations

import pytest

from pytest_uno.leaks import rules
from pytest_uno.leaks.policy import (
    LEVELS,
    Layer,
    LeakLevels,
    find_level_problem,
    find_pattern_problem,
    make_levels,
    read_line,
)
from pytest_uno.leaks.rules import RULES


def test_without_a_word_each_rule_has_its_own_level() -> None:
    levels = LeakLevels([])
    assert {code: levels.of(code) for code in RULES} == {code: rule.level for code, rule in RULES.items()}
    assert levels.general == "error"
    assert levels.looks


def test_what_is_off_is_unwatched() -> None:
    assert LeakLevels([]).unwatched == []
    assert LeakLevels([Layer(None, (("UNO203", "off"), ("UNO101", "warn")))]).unwatched == ["UNO203"]
    assert LeakLevels([Layer("off")]).unwatched == list(RULES)


def test_every_level_of_a_rule_is_a_level() -> None:
    assert {rule.level for rule in RULES.values()} <= {"error", "warn"} < set(LEVELS)


def test_every_rule_belongs_to_a_family() -> None:
    assert {f"{code[:4]}xx" for code in RULES} <= set(rules.FAMILIES)


@pytest.fixture
def mild_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = rules.Rule("UNO102", "mild", "only warns", "do nothing", level="warn")
    monkeypatch.setattr("pytest_uno.leaks.policy.RULES", {**RULES, "UNO102": rule})


@pytest.mark.usefixtures("mild_rule")
@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([], "warn"),
        ([Layer("error")], "warn"),
        ([Layer("off"), Layer("error")], "warn"),
        ([Layer("off")], "off"),
        ([Layer(None, (("UNO102", "error"),))], "error"),
        ([Layer(None, (("UNO1xx", "error"),)), Layer("error")], "error"),
    ],
)
def test_a_rule_that_warns_by_default(layers: list[Layer], expected: str) -> None:
    assert LeakLevels(layers).of("UNO102") == expected


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        # the more exact one, and the later of equal ones
        ([Layer(None, (("UNO101", "warn"), ("UNO1xx", "off")))], "warn"),
        ([Layer(None, (("UNO1xx", "off"), ("UNO101", "warn")))], "warn"),
        ([Layer(None, (("UNO101", "off"), ("UNO101", "warn")))], "warn"),
        ([Layer(None, (("UNO1xx", "off"), ("UNO1xx", "warn")))], "warn"),
        ([Layer(None, (("UNO2xx", "off"), ("UNO102", "off")))], "error"),
        # the closer one, however exact the wider is
        ([Layer(None, (("UNO101", "off"),)), Layer(None, (("UNO1xx", "warn"),))], "warn"),
        # a level for everything is a ceiling
        ([Layer("warn")], "warn"),
        ([Layer("warn", (("UNO101", "error"),))], "error"),
        ([Layer("off"), Layer(None, (("UNO101", "error"),))], "error"),
        ([Layer(None, (("UNO101", "error"),)), Layer("warn")], "warn"),
        ([Layer(None, (("UNO101", "off"),)), Layer("warn")], "off"),
        ([Layer(None, (("UNO101", "warn"),)), Layer("error")], "warn"),
        ([Layer("warn"), Layer("error")], "error"),
    ],
)
def test_which_place_counts(layers: list[Layer], expected: str) -> None:
    assert LeakLevels(layers).of("UNO101") == expected


def test_looks_for_anything_that_is_not_off() -> None:
    assert not LeakLevels([Layer("off")]).looks
    assert LeakLevels([Layer("off", (("UNO101", "warn"),))]).looks
    assert not LeakLevels([Layer(None, tuple((family, "off") for family in rules.FAMILIES))]).looks


def test_general_is_the_closest_that_was_given() -> None:
    assert LeakLevels([Layer("off"), Layer("warn"), Layer(None, (("UNO101", "off"),))]).general == "warn"


def test_equal_layers_share_their_levels() -> None:
    layer = Layer("warn", (("UNO101", "error"),))
    assert make_levels(Layer(), layer) is make_levels(Layer(), Layer("warn", (("UNO101", "error"),)))


def test_a_line_is_a_rule_and_a_level() -> None:
    assert read_line(" UNO101=warn ") == ("UNO101", "warn")
    assert read_line("UNO4xx = off") == ("UNO4xx", "off")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("UNO101", "write a rule and its level, as 'UNO103 = warn'"),
        ("= warn", "unknown rule '': name a rule"),
        ("UNO1O1 = warn", "unknown rule 'UNO1O1': did you mean 'UNO101'?"),
        ("UNO8XX = warn", "unknown rule 'UNO8XX'"),
        ("UNO101 = wran", "unknown level 'wran' of UNO101: did you mean 'warn'?"),
        ("UNO101 = 3", "unknown level '3' of UNO101: use error, warn, off"),
        ("UNO101 =", "unknown level '' of UNO101"),
    ],
)
def test_a_bad_line_says_what_is_wrong(line: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"rule|level") as caught:
        read_line(line)
    assert problem in str(caught.value)


def test_levels_and_patterns_of_any_type_are_looked_at() -> None:
    assert find_level_problem({"UNO101": "warn", "UNO1xx": "off"}) is None
    assert (
        find_level_problem({None: "warn"})
        == "unknown rule None: name a rule, as 'UNO101', or a family, as 'UNO1xx'"
    )
    assert find_level_problem({"UNO101": True}) == "unknown level True of UNO101: use error, warn, off"
    assert find_pattern_problem("UNO9xx") is None
