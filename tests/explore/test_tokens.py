from __future__ import annotations

import pytest

from pytest_uno.core.errors import UnoError
from pytest_uno.explore import BadTokenError
from pytest_uno.explore.settings import Settings
from pytest_uno.explore.strategies.base import Strategy
from pytest_uno.explore.strategies.holds import Holds
from pytest_uno.explore.strategies.path import Path
from pytest_uno.explore.strategies.pct import PriorityChanges
from pytest_uno.explore.strategies.pos import PartialOrderSampling
from pytest_uno.explore.strategies.stock import Stock
from pytest_uno.explore.tokens import parse_token, token_of


@pytest.mark.parametrize(
    ("strategy", "settings", "text"),
    [
        (Holds((13,)), Settings(delay=("io",)), "io:13"),
        (Holds((3, 7)), Settings(delay=("io", "sleep")), "sleep:3.7"),
        (Holds((5,)), Settings(delay=("io", "yield"), jitter=20.0, timeouts=True), "io+yield~20!:5"),
        (Holds((5,)), Settings(jitter=2.5), "yield~2.5:5"),
        (PartialOrderSampling(-4, 17), Settings(), "yield:pos.-4.17"),
        (PriorityChanges(0, 4, 39), Settings(timeouts=True), "yield!:pct3.0.4.39"),
        (Path({2: 1, 5: 0, 9: 2}), Settings(), "yield:path.2-1.9-2"),
        (Stock(), Settings(), "stock"),
    ],
)
def test_there_and_back(strategy: Strategy, settings: Settings, text: str) -> None:
    assert token_of(strategy, settings) == text
    token = parse_token(f" {text}\n")
    assert token.text == text
    assert token.settings == settings
    assert token.holds == strategy.holds
    again = token.strategy()
    assert type(again) is type(strategy)
    assert again.token == strategy.token


@pytest.mark.parametrize(
    "text",
    [
        "",
        "io",
        "io:",
        "io:x",
        "io:1.",
        "io:7.3",
        "io:3.3",
        "oi:3",
        "sleep~:3",
        "sleep~0:3",
        "sleep~1.2.3:1",
        "pos.1.2",
        "yield:path.3",
    ],
)
def test_bad_token(text: str) -> None:
    with pytest.raises(BadTokenError, match="is not the token of a schedule") as caught:
        parse_token(text)
    assert "fix: copy it from the `Replay:` line" in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, UnoError)
