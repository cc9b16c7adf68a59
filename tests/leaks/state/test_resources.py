from __future__ import annotations

import gc
from typing import Any

import pytest

from pytest_uno.core.resource_observer import notify_closed, notify_opened
from pytest_uno.leaks.owners import Owner
from tests.leaks.examples import nothing


class Connection: ...


class Slotted:
    __slots__ = ()


def opener(*resources: object, close: bool = False) -> Any:
    async def opens() -> None:
        for resource in resources:
            notify_opened(resource, name="db", manager_name="app")
            if close:
                notify_closed(resource)

    return opens


@pytest.mark.parametrize("kind", [Connection, Slotted])
def test_an_open_resource_is_reported_once(bench: Any, kind: type) -> None:
    resource = kind()
    (finding,) = bench.run_test(opener(resource))
    assert (finding.rule, finding.target) == ("UNO501", kind.__name__)
    assert finding.subject == "resource 'db' of manager 'app' is still open"
    assert finding.created[0].function.endswith("opens")
    assert bench.run_test(nothing) == []


def test_a_resource_that_is_announced_twice_is_reported_once(bench: Any) -> None:
    resource = Connection()
    assert len(bench.run_test(opener(resource, resource))) == 1


def test_a_closed_resource_is_fine(bench: Any) -> None:
    assert bench.run_test(opener(Connection(), close=True)) == []


def test_a_dropped_resource_is_reported_although_its_identity_is_another_s(bench: Any) -> None:
    async def test() -> None:
        resource = Connection()
        first = id(resource)
        notify_opened(resource, name="first", manager_name="app")
        del resource
        others = []
        for _ in range(1000):
            other = Connection()
            if id(other) == first:
                break
            others.append(other)
        notify_opened(other, name="second", manager_name="app")
        notify_closed(other)

    (finding,) = bench.run_test(test)
    assert "'first'" in finding.subject
    assert bench.run_test(nothing) == []


def test_a_resource_of_a_wider_fixture_is_the_fixtures(bench: Any) -> None:
    fixture, values = Owner("fixture", "hub", "session"), [Connection()]
    bench.detection.retain(fixture, values)
    assert bench.run_test(opener(values[0])) == []
    assert bench.run_test(nothing) == []
    fixture.ended = True
    (finding,) = bench.detection.judge_loop(bench.loop, default_owner=Owner("session", ""))
    assert finding.owner.name == "hub"


def test_a_resource_of_nobody_is_nobodys(bench: Any) -> None:
    resource = Connection()
    bench.run_as(None, opener(resource))
    assert bench.run_test(nothing) == []
    gc.collect()


def test_a_resource_that_a_thread_opens_is_the_tests(bench: Any) -> None:
    import asyncio
    import threading

    resource = Connection()

    async def test() -> None:
        thread = threading.Thread(
            target=notify_opened, args=(resource,), kwargs={"name": "db", "manager_name": "app"}
        )
        thread.start()
        thread.join()
        await asyncio.sleep(0)

    (finding,) = bench.run_test(test)
    assert finding.rule == "UNO501"
    assert not finding.created[0].in_app  # no line of the user's was on that stack
