"""What is looked through in a world, and by which paths."""

from __future__ import annotations

import functools
import weakref
from typing import Any

from pytest_uno.explore.injection.world import roots_of, walk


def paths(world: object, *functions: object) -> dict[str, object]:
    return dict(walk(roots_of(world, functions)))


class Lock:
    pass


class Slotted:
    __slots__ = ("__weakref__", "filled", "unset")

    def __init__(self, filled: object) -> None:
        self.filled = filled


class Service:
    def __init__(self) -> None:
        self.lock = Lock()

    async def run(self, other: object = None, *, option: object = None) -> None:
        pass


def test_slots_that_hold_something() -> None:
    lock = Lock()
    thing = Slotted(lock)
    assert weakref.ref(thing)() is thing
    assert paths(thing) == {"world": thing, "world.filled": lock}


def test_an_operation_that_is_a_method_leads_to_its_object() -> None:
    service = Service()
    found = paths(None, service.run)
    assert found["self"] is service
    assert found["self.lock"] is service.lock


def test_what_is_bound_to_an_operation_is_found() -> None:
    service, first, second = Service(), Lock(), Lock()
    found = paths(None, functools.partial(service.run, first, option=second))
    assert found["argument 1"] is first
    assert found["option"] is second
    assert found["self"] is service


def test_a_variable_that_is_not_bound_yet_is_passed_over() -> None:
    def make() -> Any:
        async def use() -> object:
            return early, late

        early = Lock()
        found = paths(None, use)
        late = Lock()
        return found, early, late

    found, early, late = make()
    assert found["early"] is early
    assert late not in found.values()


def test_a_callable_object_refers_to_nothing_that_is_known() -> None:
    assert paths(None, Lock(), len) == {}
