from __future__ import annotations

import asyncio
import functools
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from pytest_uno.leaks.retention import find_retained


class Node:
    def __init__(self, *held: Any) -> None:
        self.held = list(held)


def test_what_can_be_reached_is_found_with_its_holder() -> None:
    wanted, other = Node(), Node()
    shared = Node(Node(wanted))
    roots = {"first": [Node()], "second": [Node(shared, shared)], "third": [shared]}
    assert find_retained([wanted, other], roots) == {id(wanted): "second"}


def test_a_cycle_ends() -> None:
    node, wanted = Node(), Node()
    node.held = [node, node]
    assert find_retained([wanted], {"hub": [node, node]}) == {}


def test_nobody_is_searched_without_suspects_or_roots() -> None:
    assert find_retained([], {"hub": [Node()]}) == {}
    assert find_retained([Node()], {}) == {}


def test_the_search_does_not_go_through_the_whole_program() -> None:
    wanted = Node()
    loop = asyncio.new_event_loop()
    future = loop.create_future()
    future.set_result(wanted)
    loop.wanted = wanted  # type: ignore[attr-defined]

    names: dict[str, Any] = {"wanted": wanted}
    exec("def function(): return wanted", names)

    for holder in (future, loop, names["function"], weakref.ref(wanted), Node):
        assert find_retained([wanted], {"hub": [Node(holder)]}) == {}
    assert find_retained([future], {"hub": [Node(future)]}) == {id(future): "hub"}
    loop.close()


def functions_that_hold(wanted: Node) -> Iterator[Callable[..., object]]:
    yield lambda: wanted

    def outer() -> Callable[[], object]:
        inner = lambda: wanted  # noqa: E731
        return lambda: inner

    yield outer()

    def with_default(wanted: Node = wanted) -> None: ...

    yield with_default

    def with_keyword(*, wanted: Node = wanted) -> None: ...

    yield with_keyword

    def with_attribute() -> None: ...

    with_attribute.wanted = wanted  # type: ignore[attr-defined]
    yield with_attribute
    yield Node(wanted).__init__  # type: ignore[misc]
    yield [wanted].append
    yield functools.partial(print, wanted)


def test_what_a_function_holds_is_found() -> None:
    wanted = Node()
    for function in functions_that_hold(wanted):
        assert find_retained([wanted], {"hub": [function]}) == {id(wanted): "hub"}


def test_the_search_is_bounded() -> None:
    chain = wanted = Node()
    for _ in range(100):
        chain = Node(chain)
    assert find_retained([wanted], {"hub": [chain]}) == {id(wanted): "hub"}
    assert find_retained([wanted], {"hub": [chain]}, limit=100) == {}
