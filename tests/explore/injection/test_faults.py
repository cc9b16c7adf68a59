"""Faults: which calls fail, with what, and that everything is restored."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from pytest_uno.explore import InjectionError, assert_fault_safe
from tests.explore.injection.loops import LOOPS, run, run_on


class Repo:
    def __init__(self) -> None:
        self.saved: list[int] = []

    async def save(self, number: int) -> int:
        await asyncio.sleep(0)
        self.saved.append(number)
        return number

    def note(self, number: int) -> None:
        self.saved.append(number)

    @classmethod
    async def shared(cls) -> type[Repo]:
        return cls

    @staticmethod
    def fixed() -> int:
        return 1


class SlottedRepo:
    __slots__ = ("saved",)

    def __init__(self) -> None:
        self.saved: list[int] = []

    async def save(self, number: int) -> None:
        self.saved.append(number)


def make_world() -> Any:
    return SimpleNamespace(repo=Repo())


async def save_twice(world: Any) -> None:
    await world.repo.save(1)
    await world.repo.save(2)


@LOOPS
def test_each_call_fails_before_and_after_its_effect(kind: str) -> None:
    seen: list[list[int]] = []

    def check(world: Any) -> None:
        seen.append(world.repo.saved)

    assert (
        run_on(kind, assert_fault_safe(save_twice, "repo.save", OSError, setup=make_world, check=check)) == 4
    )
    assert seen == [[1, 2], [], [1], [1], [1, 2]]


def test_synchronous_calls() -> None:
    seen: list[list[int]] = []

    async def note(world: Any) -> None:
        world.repo.note(7)

    def check(world: Any) -> None:
        seen.append(world.repo.saved)

    assert run(assert_fault_safe(note, "repo.note", OSError, setup=make_world, check=check)) == 2
    assert seen == [[7], [], [7]]


def test_a_failure_says_which_call_it_was() -> None:
    async def save_anyway(world: Any) -> None:
        with contextlib.suppress(OSError):
            await world.repo.save(1)

    def is_saved(world: Any) -> bool:
        return bool(world.repo.saved)

    with pytest.raises(InjectionError) as caught:
        run(assert_fault_safe(save_anyway, "repo.save", OSError, setup=make_world, check=is_saved))
    (failure,) = caught.value.failures
    assert failure.only == "before@1"
    assert failure.place is not None
    assert failure.place.code == "await world.repo.save(1)"
    lines = str(caught.value).splitlines()
    assert "is not safe when repo.save fails: 1 of 2 injections failed" in lines[0]
    assert lines[1] == "  before@1: call 1 of repo.save raised before its effect"
    assert lines[2].strip().startswith("at tests/explore/injection/test_faults.py:")
    assert lines[3] == "      - check: is_saved() returned False"
    assert lines[4] == "  one alone: assert_fault_safe(..., only='before@1')"
    with pytest.raises(InjectionError, match="1 of 1 injections"):
        run(
            assert_fault_safe(
                save_anyway, "repo.save", OSError, setup=make_world, check=is_saved, only="before@1"
            )
        )


@pytest.mark.parametrize(
    "error",
    [
        KeyError("consequence"),
        ExceptionGroup("several", [OSError(), KeyError()]),
    ],
    ids=["another", "group"],
)
def test_another_error_of_the_operation_fails(error: Exception) -> None:
    async def translate(world: Any) -> None:
        try:
            await world.repo.save(1)
        except OSError:
            raise error from None

    with pytest.raises(InjectionError, match=f"it raised {type(error).__name__}"):
        run(assert_fault_safe(translate, "repo.save", OSError, setup=make_world))


def test_the_injected_kind_is_expected_also_behind_others() -> None:
    async def translate(world: Any) -> None:
        try:
            await world.repo.save(1)
        except ConnectionError as exc:
            raise LookupError("no repo") from exc

    async def in_group(world: Any) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(world.repo.save(1))

    assert run(assert_fault_safe(translate, "repo.save", ConnectionResetError, setup=make_world)) == 2
    assert run(assert_fault_safe(in_group, "repo.save", ConnectionResetError, setup=make_world)) == 2


def test_of_many_failures_the_first_are_shown_in_full() -> None:
    async def save_many(world: Any) -> None:
        for number in range(9):
            try:
                await world.repo.save(number)
            except OSError:
                raise LookupError(f"number {number}") from None

    with pytest.raises(InjectionError) as caught:
        run(assert_fault_safe(save_many, "repo.save", OSError, "before", setup=make_world))
    assert len(caught.value.failures) == 9
    text = str(caught.value)
    assert "- it raised LookupError: number 5" in text
    assert "number 6" not in text
    assert "  and 3 more: before@7, before@8, before@9" in text.splitlines()


def test_a_call_in_a_thread_has_no_place_in_the_operation() -> None:
    async def note(world: Any) -> None:
        with contextlib.suppress(OSError):
            await asyncio.to_thread(world.repo.note, 1)

    def is_noted(world: Any) -> bool:
        return bool(world.repo.saved)

    with pytest.raises(InjectionError) as caught:
        run(assert_fault_safe(note, "repo.note", OSError, setup=make_world, check=is_noted))
    assert [(failure.only, failure.place) for failure in caught.value.failures] == [("before@1", None)]


def test_an_operation_that_cancels_itself_is_found() -> None:
    async def give_up(world: Any) -> None:
        try:
            await world.repo.save(1)
        except OSError:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

    with pytest.raises(InjectionError) as caught:
        run(assert_fault_safe(give_up, "repo.save", OSError, "before", setup=make_world))
    assert [failure.problems for failure in caught.value.failures] == [("it was cancelled by itself",)]


# Targets.


def restored(repo: Any) -> bool:
    return set(vars(repo)) == {"saved"}


def test_an_object_and_its_attribute() -> None:
    repo = Repo()

    async def save() -> None:
        await repo.save(1)

    assert run(assert_fault_safe(save, (repo, "save"), OSError)) == 2
    assert restored(repo)


def test_a_function_of_the_world() -> None:
    assert (
        run(assert_fault_safe(save_twice, lambda world: (world.repo, "save"), OSError, setup=make_world)) == 4
    )


@pytest.mark.parametrize("name", ["save", "shared", "fixed"])
def test_a_class(name: str) -> None:
    before = dict(vars(Repo))

    async def use_all() -> None:
        repo = Repo()
        assert await repo.save(3) == 3
        assert await repo.shared() is Repo
        assert repo.fixed() == 1

    assert run(assert_fault_safe(use_all, (Repo, name), OSError)) == 2
    assert dict(vars(Repo)) == before


def test_a_class_that_inherits_it() -> None:
    class Derived(Repo):
        pass

    async def save() -> None:
        await Derived().save(1)

    assert run(assert_fault_safe(save, (Derived, "save"), OSError)) == 2
    assert "save" not in vars(Derived)


def test_an_object_with_slots_whose_class_inherits_it() -> None:
    class Derived(SlottedRepo):
        __slots__ = ()

    repo = Derived()

    async def save() -> None:
        await repo.save(1)

    assert run(assert_fault_safe(save, (repo, "save"), OSError)) == 2
    assert "save" not in vars(Derived)


def test_an_object_with_slots() -> None:
    repo, other = SlottedRepo(), SlottedRepo()
    before = dict(vars(SlottedRepo))

    async def save() -> None:
        await other.save(1)
        await repo.save(1)

    assert run(assert_fault_safe(save, (repo, "save"), OSError)) == 2
    assert repo.saved == [1, 1]
    assert dict(vars(SlottedRepo)) == before


def test_a_dictionary() -> None:
    world = {"save": Repo().save}
    before = dict(world)

    async def save(given: Any) -> None:
        await given["save"](1)

    assert run(assert_fault_safe(save, "save", OSError, setup=lambda: world)) == 2
    assert world == before


def test_mocks() -> None:
    mock = Mock()
    mock.save = AsyncMock(return_value=5)
    mock.note.return_value = 6

    async def use() -> None:
        assert await mock.save(1) == 5
        assert mock.note(1) == 6

    for name in ("save", "note"):
        assert run(assert_fault_safe(use, (mock, name), OSError)) == 2
    # Undisturbed, and after its effect, for each; the other one is called where the first has not raised.
    assert mock.save.await_count == 2 + 3
    assert mock.note() == 6


def test_a_module() -> None:
    before = asyncio.sleep

    async def sleep() -> None:
        await asyncio.sleep(0)

    assert run(assert_fault_safe(sleep, (asyncio, "sleep"), OSError)) >= 2
    assert asyncio.sleep is before


class Response:
    """Something to be awaited or entered, as HTTP clients return."""

    def __init__(self) -> None:
        self.is_open = False

    def __await__(self) -> Any:
        self.is_open = True
        yield from asyncio.sleep(0).__await__()
        return self

    async def __aenter__(self) -> Response:
        await self
        return self

    async def __aexit__(self, *_: object) -> None:
        self.is_open = False


def test_a_call_whose_result_is_entered() -> None:
    responses: list[Response] = []

    def get() -> Response:
        responses.append(Response())
        return responses[-1]

    async def fetch(world: Any) -> None:
        async with world.get() as response:
            assert response.is_open

    async def fetch_and_wait(world: Any) -> None:
        response = await world.get()
        response.is_open = False

    assert run(assert_fault_safe(fetch, "get", OSError, setup=lambda: SimpleNamespace(get=get))) == 2
    assert [response.is_open for response in responses] == [False, False]
    assert run(assert_fault_safe(fetch_and_wait, "get", OSError, setup=lambda: SimpleNamespace(get=get))) == 2


def test_a_result_can_be_looked_at_before_its_reply_is_lost() -> None:
    seen: list[bool] = []

    async def fetch(world: Any) -> None:
        response = world.get()
        seen.append(response.is_open)
        await response

    injections = run(
        assert_fault_safe(fetch, "get", OSError, "after", setup=lambda: SimpleNamespace(get=Response))
    )
    assert injections == 1
    assert seen == [False, False]


def test_the_target_is_restored_whatever_happens() -> None:
    repo = Repo()

    async def fail() -> None:
        await repo.save(1)
        raise LookupError("baseline")

    with pytest.raises(InjectionError, match="fails without any injection"):
        run(assert_fault_safe(fail, (repo, "save"), OSError))
    assert restored(repo)


# Exceptions.


class NeedsTwoError(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(one, two)


def test_what_is_raised() -> None:
    caught: list[BaseException] = []

    async def save(world: Any) -> None:
        try:
            await world.repo.save(1)
        except Exception as exc:
            caught.append(exc)

    error = NeedsTwoError(1, 2)
    run(assert_fault_safe(save, "repo.save", ConnectionError, "before", setup=make_world))
    run(assert_fault_safe(save, "repo.save", error, "before", setup=make_world))
    assert str(caught[0]) == "injected: call 1 of repo.save raised before its effect"
    assert caught[1] is error
