from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from pytest_uno.leaks.judging import Judgement
from pytest_uno.leaks.owners import Owner


class Ring:
    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def judgement() -> Iterator[Judgement]:
    loop = asyncio.SelectorEventLoop()
    yield Judgement(loop, Owner("test", "test_x"), loop_ends=True)
    loop.close()


@pytest.fixture(params=[True, False])
def collects(request: pytest.FixtureRequest) -> Iterator[bool]:
    gc.collect()
    if not request.param:
        gc.disable()
    yield request.param
    gc.enable()


def test_garbage_is_collected_unless_the_collector_is_disabled(judgement: Judgement, collects: bool) -> None:
    ref = weakref.ref(Ring())
    judgement.collect_garbage()
    assert (ref() is None) is collects
