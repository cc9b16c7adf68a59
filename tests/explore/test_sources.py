"""What completions come from is told apart, whatever the memory is used for later."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest

from pytest_uno.explore.sources import Sources


class Owner:
    pass


class Slotted:
    __slots__ = ()


class Unhashable:
    __hash__ = None  # type: ignore[assignment]


@pytest.fixture
def loop() -> Generator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def handle_on(loop: asyncio.AbstractEventLoop) -> asyncio.Handle:
    return asyncio.Handle(print, (), loop)


def test_a_source_keeps_its_number(loop: asyncio.AbstractEventLoop) -> None:
    sources = Sources()
    owner, handle = Owner(), handle_on(loop)
    number = sources.number(owner, handle)
    assert sources.number(owner, handle_on(loop)) == number
    assert sources.number(None, handle) != number
    assert sources.number(None, handle) == sources.number(None, handle)


def test_a_number_is_given_once_although_addresses_come_again(loop: asyncio.AbstractEventLoop) -> None:
    sources = Sources()
    numbers: list[int] = []
    addresses: set[int] = set()
    for _ in range(50):
        owner = Owner()
        addresses.add(id(owner))
        numbers.append(sources.number(owner, handle_on(loop)))
        del owner
    assert len(addresses) < 50
    assert len(set(numbers)) == 50


@pytest.mark.parametrize("kind", [Slotted, Unhashable])
def test_what_cannot_be_remembered_is_known_by_its_callback(
    kind: type[object], loop: asyncio.AbstractEventLoop
) -> None:
    sources = Sources()
    handle = handle_on(loop)
    assert sources.number(kind(), handle) == sources.number(kind(), handle) == sources.number(None, handle)
    assert sources.number(kind(), handle_on(loop)) != sources.number(None, handle)
