from __future__ import annotations

import contextvars
import decimal
import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.state.variable_setters import find_setter
from tests.leaks.examples import LineOf

Fixture = Callable[[], Iterator[None]]

TENANT: contextvars.ContextVar[Any] = contextvars.ContextVar("tenant")
LOCALE: contextvars.ContextVar[Any] = contextvars.ContextVar("locale", default="en")

LEAKY: list[Fixture] = []
CLEAN: list[Fixture] = []


def leaks(fixture: Fixture) -> Fixture:
    LEAKY.append(fixture)
    return fixture


def clean(fixture: Fixture) -> Fixture:
    CLEAN.append(fixture)
    return fixture


def in_fresh_context(test: Callable[..., None]) -> Callable[..., None]:
    """What a test here leaks must not reach the next one."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        contextvars.copy_context().run(test, *args, **kwargs)

    return run


class Tenant:
    variable = TENANT

    @staticmethod
    def activate(name: str) -> None:
        TENANT.set(name)  # ACTIVATE


@leaks
def never_reset() -> Iterator[None]:
    TENANT.set("acme")  # LEAK
    yield


@leaks
def overwritten() -> Iterator[None]:
    LOCALE.set("de")  # LEAK
    yield


@leaks
def in_a_class() -> Iterator[None]:
    Tenant.variable.set("acme")  # LEAK
    yield


@leaks
def in_an_inner_function() -> Iterator[None]:
    def activate() -> None:
        TENANT.set("acme")  # LEAK

    activate()
    yield


@leaks
def put_back_to_something_else() -> Iterator[None]:
    LOCALE.set("de")  # LEAK
    yield
    LOCALE.set("fr")


@clean
def reset() -> Iterator[None]:
    token = TENANT.set("acme")
    yield
    TENANT.reset(token)


@clean
def set_back_by_hand() -> Iterator[None]:
    TENANT.set("acme")
    LOCALE.set(["de"])
    yield
    TENANT.set(None)
    LOCALE.set("en")


@clean
def set_to_what_it_was() -> Iterator[None]:
    LOCALE.set("en")
    TENANT.set(())
    yield


@clean
def variable_of_a_library() -> Iterator[None]:
    decimal.setcontext(decimal.Context(prec=9))
    yield


class Bench:
    """Runs sync fixtures around tests as the harness does."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench

    def set_up(self, function: Fixture, scope: str = "function") -> tuple[Owner, Iterator[None]]:
        owner = Owner("fixture", function.__name__, scope, "tests/conftest.py", 7)
        token = OWNER.set(owner)
        before = contextvars.copy_context()
        running = function()
        next(running)
        self.bench.detection.contexts.note_set_up(owner, function, before)
        OWNER.reset(token)
        return owner, running

    @staticmethod
    def tear_down(fixture: tuple[Owner, Iterator[None]]) -> None:
        owner, running = fixture
        assert next(running, "the end") == "the end"
        owner.ended = True

    def run(self, *functions: Fixture) -> list[Any]:
        test = Owner("test", "test_x")
        snapshot = self.bench.detection.snapshot(test)
        fixtures = [self.set_up(function) for function in functions]
        for fixture in reversed(fixtures):
            self.tear_down(fixture)
        test.ended = True
        findings: list[Any] = self.bench.detection.compare(snapshot, self.bench.loop, loop_ends=False)
        return findings


@pytest.fixture
def fixtures(bench: Any) -> Bench:
    return Bench(bench)


@pytest.mark.parametrize("fixture", LEAKY)
@in_fresh_context
def test_a_variable_that_a_fixture_leaves_is_reported_once(
    fixtures: Bench, fixture: Fixture, line_of: LineOf
) -> None:
    (finding,) = fixtures.run(fixture)
    assert finding.rule == "UNO503"
    assert finding.subject == f"context variable {finding.target!r} was set and not reset"
    assert (finding.owner.kind, finding.owner.name) == ("fixture", fixture.__name__)
    assert finding.created[0].line == line_of(fixture, "# LEAK")
    assert fixtures.run() == []
    assert len(fixtures.run(fixture)) == 1  # though it could not be unset
    assert LOCALE.get() == "en"


@pytest.mark.parametrize("fixture", CLEAN)
@in_fresh_context
def test_a_variable_that_reads_as_before_is_silent(fixtures: Bench, fixture: Fixture) -> None:
    assert fixtures.run(fixture) == []
    assert fixtures.run(fixture) == []


@in_fresh_context
def test_the_way_to_the_line_that_sets_it_is_told(fixtures: Bench, line_of: LineOf) -> None:
    def calls() -> Iterator[None]:
        Tenant.activate("acme")  # CALL
        yield

    (finding,) = fixtures.run(calls)
    lines = [frame.line for frame in finding.created]
    assert lines == [line_of(Tenant.activate, "# ACTIVATE"), line_of(calls, "# CALL")]


@in_fresh_context
def test_a_variable_of_the_user_that_is_set_in_no_visible_way_is_the_fixtures(fixtures: Bench) -> None:
    def hidden() -> Iterator[None]:
        getattr(TENANT, "s" + "et")("acme")
        yield

    (finding,) = fixtures.run(hidden)
    assert (finding.created[0].file, finding.created[0].line) == ("tests/conftest.py", 7)


@in_fresh_context
def test_one_fixture_that_undoes_another_is_silent(fixtures: Bench) -> None:
    def inner() -> Iterator[None]:
        before = LOCALE.get()
        LOCALE.set("fr")
        yield
        LOCALE.set(before)

    (finding,) = fixtures.run(overwritten, inner)
    assert finding.owner.name == "overwritten"


@pytest.mark.parametrize("scope", ["class", "module", "package", "session"])
@in_fresh_context
def test_a_wider_fixture_may_set_it_while_it_lives(fixtures: Bench, scope: str) -> None:
    fixture = fixtures.set_up(never_reset, scope)
    assert fixtures.run(reset) == []
    assert fixtures.run() == []
    fixtures.tear_down(fixture)
    fixtures.bench.detection.release(fixture[0])
    findings = fixtures.bench.detection.drain()
    assert [each.rule for each in findings] == ([] if scope == "session" else ["UNO503"])


@in_fresh_context
def test_what_an_inner_fixture_set_is_not_the_outer_ones(fixtures: Bench) -> None:
    def outer() -> Iterator[None]:
        inner.append(fixtures.set_up(never_reset))
        yield
        fixtures.tear_down(inner.pop())

    inner: list[Any] = []
    (finding,) = fixtures.run(outer)
    assert finding.owner.name == "never_reset"


@in_fresh_context
def test_a_variable_that_cannot_be_unset_is_asked_of_its_own_fixture_only(fixtures: Bench) -> None:
    def quiet() -> Iterator[None]:
        yield

    assert len(fixtures.run(never_reset)) == 1
    assert fixtures.run(quiet) == []


@in_fresh_context
def test_values_that_cannot_be_compared_differ(fixtures: Bench) -> None:
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError

        __hash__ = None  # type: ignore[assignment]

    def sets_odd() -> Iterator[None]:
        LOCALE.set([Odd()])
        yield

    LOCALE.set([Odd()])
    assert len(fixtures.run(sets_odd)) == 1


def sets_hidden(variable: contextvars.ContextVar[Any]) -> Iterator[None]:
    getattr(variable, "s" + "et")("acme")
    yield


class SetsHidden:
    def __call__(self) -> Iterator[None]:
        return sets_hidden(TENANT)


@pytest.mark.parametrize(
    ("function", "number_again"), [(functools.partial(sets_hidden, TENANT), 1), (SetsHidden(), 0)]
)
@in_fresh_context
def test_a_fixture_need_not_be_a_plain_function(fixtures: Bench, function: Any, number_again: int) -> None:
    function.__name__ = "fixture"
    assert len(fixtures.run(function)) == 1
    assert len(fixtures.run(function)) == number_again  # only by its code it is known again


@in_fresh_context
def test_a_variable_that_a_test_sets_is_gone_with_it(bench: Any) -> None:
    async def test() -> None:
        TENANT.set("acme")

    assert bench.run_test(test) == []


def test_odd_callables_set_nothing() -> None:
    class Odd:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError

        def __call__(self) -> None: ...

    for function in (print, Odd(), Odd, functools.partial(print), len):
        assert find_setter(TENANT, function, lambda file: True) == []
    assert find_setter(TENANT, never_reset, lambda file: False) == []
    assert find_setter(TENANT, functools.partial(never_reset), lambda file: True) != []


def test_a_variable_is_found_in_a_closure() -> None:
    tenant = TENANT

    def sets() -> None:
        tenant.set("acme")

    def sets_its_own() -> None:
        own = TENANT

        def inner() -> None:
            own.set("acme")

        inner()

    def sets_later() -> None:
        later.set("acme")

    assert [code for code, _ in find_setter(TENANT, sets, lambda file: True)] == [sets.__code__]
    # Known only once they have run.
    assert find_setter(TENANT, sets_its_own, lambda file: True) == []
    assert find_setter(TENANT, sets_later, lambda file: True) == []
    later = TENANT


def test_a_class_that_hides_its_attributes_is_passed_by() -> None:
    class Hides(type):
        def __getattribute__(cls, name: str) -> Any:
            raise RuntimeError

    class Hidden(metaclass=Hides):
        variable = TENANT

    def sets() -> None:
        Hidden.variable.set("acme")
        TENANT.set("acme")  # SET

    ((_, line),) = find_setter(TENANT, sets, lambda file: True)
    assert line == sets.__code__.co_firstlineno + 2
