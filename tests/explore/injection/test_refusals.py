"""What is refused before anything runs, and operations that cannot be judged."""

from __future__ import annotations

import asyncio
import functools
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_uno import UnoError
from pytest_uno.explore import InjectionError, assert_cancel_safe, assert_fault_safe
from tests.explore.injection.loops import run


async def op() -> None:
    await asyncio.sleep(0)


async def op_of(world: Any) -> None:
    await asyncio.sleep(0)


def world() -> Any:
    return SimpleNamespace(repo=SimpleNamespace(commit=op, size=3))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"op": None}, TypeError, "op is no function but NoneType"),
        ({"op": op_of}, TypeError, r"op op_of\(world.* must take no argument"),
        ({"op": op, "setup": world}, TypeError, r"op op\(\).* must take the world that setup returned"),
        ({"op": op_of, "setup": op_of}, TypeError, "setup .* must take no argument"),
        ({"op": op_of, "setup": world, "check": op}, TypeError, "check .* must take the world"),
        ({"op": op, "teardown": op_of}, TypeError, "teardown .* must take no argument"),
        ({"op": op, "moments": ("wiat",)}, ValueError, "(?s)there is no 'wiat'.*did you mean 'wait'"),
        ({"op": op, "moments": "start"}, ValueError, "(?s)there is no 'start'"),
        ({"op": op, "moments": ()}, ValueError, "nothing would be injected"),
        ({"op": op, "moments": 3}, ValueError, "nothing would be injected"),
        ({"op": op, "depth": 3}, ValueError, "depth=3"),
        ({"op": op, "depth": True}, ValueError, "depth=True"),
        ({"op": op, "only": "wait1"}, ValueError, "only='wait1' names no injection"),
        ({"op": op, "only": "before@1"}, ValueError, "names no injection"),
        ({"op": op, "only": "wait@2+wait@1"}, ValueError, "names no injection"),
        ({"op": op, "only": 3}, ValueError, "names no injection"),
    ],
)
def test_arguments_of_cancellations(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        run(assert_cancel_safe(**arguments))
    assert "docs: https://" in str(caught.value)


def test_a_coroutine_in_place_of_its_function() -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match=r"(?s)op is no function but coroutine.*`op` without parentheses"):
            await assert_cancel_safe(op())  # type: ignore[arg-type]

    run(main())


def test_a_function_that_is_not_async() -> None:
    with pytest.raises(TypeError, match="the operation returned int, not an awaitable"):
        run(assert_cancel_safe(lambda: 3))


def test_an_operation_that_returns_a_future() -> None:
    assert run(assert_cancel_safe(lambda: asyncio.gather(op(), op()))) == 2


def test_a_builtin_without_a_signature_is_taken_as_it_is() -> None:
    async def step(world: dict[str, int]) -> None:
        world["steps"] = 1
        await asyncio.sleep(0)

    assert run(assert_cancel_safe(step, dict, lambda world: world == {"steps": 1})) == 1


def test_an_operation_with_bound_arguments_is_called_by_its_own_name() -> None:
    with pytest.raises(InjectionError, match=r"^op_of\(\) fails without any injection"):
        run(assert_cancel_safe(functools.partial(op_of, 1), check=lambda: False))


class CommitError(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(one, two)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"target": "repo.comit"},
            ValueError,
            "(?s)world.repo .*has no attribute 'comit'.*did you mean 'commit'",
        ),
        ({"target": "rpo.commit"}, ValueError, "(?s)world .*has no attribute 'rpo'.*did you mean 'repo'"),
        ({"target": "xyz"}, ValueError, "(?s)has no attribute 'xyz'.*it has repo"),
        ({"target": "repo.size"}, TypeError, "world.repo.size is int, and no function"),
        ({"target": "repo..commit"}, ValueError, "is no path of attributes"),
        ({"target": 3}, TypeError, "neither a path, nor a pair, nor a function"),
        ({"target": lambda w: w.repo}, TypeError, "the function for `target` returned"),
        ({"target": (int, "bit_length")}, TypeError, "int.bit_length cannot be replaced"),
        ({"target": ("", "upper")}, TypeError, "str.upper cannot be replaced"),
        ({"target": "repo.commit", "when": "befor"}, ValueError, "did you mean 'before'"),
        ({"target": "repo.commit", "raises": int}, TypeError, "pass a class of exceptions"),
        (
            {"target": "repo.commit", "raises": CommitError},
            TypeError,
            "pass an exception, made with its arguments",
        ),
        ({"target": "repo.commit", "raises": asyncio.CancelledError}, TypeError, "use assert_cancel_safe"),
        ({"target": "repo.commit", "only": "wait@1"}, ValueError, "names no injection"),
        ({"target": "repo.commit", "only": "after@2"}, ValueError, r"calls repo.commit 1 times"),
    ],
)
def test_arguments_of_faults(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    async def commit(given: Any) -> None:
        await given.repo.commit()

    with pytest.raises(error, match=message) as caught:
        run(assert_fault_safe(commit, **{"raises": OSError, "setup": world, **arguments}))
    assert "docs: https://" in str(caught.value)


def test_a_path_needs_a_world() -> None:
    with pytest.raises(ValueError, match="no `setup`, and so no world"):
        run(assert_fault_safe(op, "repo.commit", OSError))


def test_a_target_that_is_never_called() -> None:
    with pytest.raises(InjectionError, match=r"op_of\(\) never calls repo.commit"):
        run(assert_fault_safe(op_of, "repo.commit", OSError, setup=world))


# What cannot be judged.


def test_an_operation_that_fails_undisturbed() -> None:
    async def fail() -> None:
        raise LookupError("no such thing")

    with pytest.raises(InjectionError) as caught:
        run(assert_cancel_safe(fail))
    assert isinstance(caught.value, AssertionError)
    assert isinstance(caught.value, UnoError)
    assert "fail() fails without any injection:\n    - fail() raised: LookupError: no such thing" in str(
        caught.value
    )
    assert isinstance(caught.value.__cause__, LookupError)
    assert caught.value.failures == ()


def test_a_check_that_fails_undisturbed() -> None:
    with pytest.raises(InjectionError, match=r"check: .* returned False"):
        run(assert_cancel_safe(op, check=lambda: False))


def test_a_teardown_that_fails_undisturbed() -> None:
    def tear_down() -> None:
        raise LookupError("down")

    with pytest.raises(InjectionError, match="teardown: LookupError: down"):
        run(assert_cancel_safe(op, teardown=tear_down))


def test_a_teardown_that_fails_after_an_operation_that_cannot_run() -> None:
    def tear_down() -> None:
        raise LookupError("down")

    with pytest.raises(LookupError, match="down") as caught:
        run(assert_cancel_safe(lambda: 3, teardown=tear_down))
    assert isinstance(caught.value.__context__, TypeError)


def test_an_operation_that_cancels_itself() -> None:
    async def cancel() -> None:
        raise asyncio.CancelledError

    with pytest.raises(InjectionError, match=r"- cancel\(\) was cancelled"):
        run(assert_cancel_safe(cancel))


def test_a_setup_that_fails_is_the_users_own_error() -> None:
    def set_up() -> None:
        raise LookupError("up")

    with pytest.raises(LookupError, match="up"):
        run(assert_cancel_safe(op_of, set_up))


def test_an_operation_that_waits_elsewhere_each_time() -> None:
    runs: list[None] = []

    async def wander() -> None:
        runs.append(None)
        for _ in runs:
            await asyncio.sleep(0)

    with pytest.raises(
        InjectionError, match=r"(?s)wander\(\) is not deterministic: \d suspensions in one run and \d"
    ):
        run(assert_cancel_safe(wander))


def test_an_operation_that_takes_another_way() -> None:
    runs: list[None] = []

    async def alternate() -> None:
        runs.append(None)
        if len(runs) % 2:
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(0.001)

    with pytest.raises(InjectionError, match=r"suspension 1 was at .*sleep\(0.001\) in one run, and at "):
        run(assert_cancel_safe(alternate))


def test_a_first_run_may_differ() -> None:
    cache: list[None] = []

    async def fill() -> None:
        if not cache:
            await asyncio.sleep(0)
            cache.append(None)
        await asyncio.sleep(0)

    assert run(assert_cancel_safe(fill)) == 1


def test_a_place_that_is_not_reached_any_more() -> None:
    runs: list[None] = []

    async def shorten() -> None:
        runs.append(None)
        await asyncio.sleep(0)
        if len(runs) < 4:
            await asyncio.sleep(0)

    with pytest.raises(InjectionError, match="wait@2 was not reached: this time there were 1 suspensions"):
        run(assert_cancel_safe(shorten))


def test_a_call_that_is_not_made_any_more() -> None:
    runs: list[None] = []

    async def shorten(given: Any) -> None:
        runs.append(None)
        if len(runs) < 2:
            await given.repo.commit()

    with pytest.raises(
        InjectionError, match=r"before@1 was not reached: this time there were 0 calls of repo.commit"
    ):
        run(assert_fault_safe(shorten, "repo.commit", OSError, setup=world))


def test_worlds_that_share_something() -> None:
    shared: list[None] = []

    async def use() -> None:
        if shared:
            raise LookupError("still in use")
        shared.append(None)
        await asyncio.sleep(0.001)
        shared.clear()

    # The first cancellation breaks what the next run finds.
    with pytest.raises(
        InjectionError, match=r"wake@1 was not reached: .*, and it raised LookupError: still in use"
    ):
        run(assert_cancel_safe(use))
