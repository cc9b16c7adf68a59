"""The copies that are made before they are asked for: on a server that only keeps names."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent import futures
from typing import Any, TypeVar

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from pytest_uno.database.templates.administrator import Administrator
from pytest_uno.database.templates.clones import Clones, quoted

pytestmark = pytest.mark.asyncio

T = TypeVar("T")


class _Server(Administrator):
    """Works in the loop of the test."""

    def __init__(self) -> None:
        engine = create_async_engine("sqlite+aiosqlite://")
        super().__init__(engine, engine.sync_engine.pool)
        self.databases: set[str] = set()
        self.errors: list[str] = []
        """What the next statements that begin so fail with; one statement each."""
        self.gate = asyncio.Event()
        self.gate.set()
        self._tasks: set[asyncio.Future[Any]] = set()

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        return await work()

    def submit(self, work: Callable[[], Awaitable[T]]) -> futures.Future[T]:
        self._tasks.add(asyncio.ensure_future(work()))
        return futures.Future()

    async def execute(self, statement: str) -> list[tuple[Any, ...]]:
        await self.gate.wait()
        if self.errors and statement.startswith(self.errors[0]):
            raise LookupError(self.errors.pop(0))
        found = re.match(r'(CREATE|DROP) DATABASE (?:IF EXISTS )?"(\w+)"', statement)
        assert found is not None, statement
        if found[1] == "CREATE":
            self.databases.add(found[2])
        else:
            self.databases.discard(found[2])
        return []


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def _clones() -> AsyncIterator[tuple[_Server, Clones]]:
    server = _Server()
    clones = Clones(server, "template", "copy")
    try:
        yield server, clones
    finally:
        server.errors.clear()
        server.gate.set()
        await clones.end()
    assert server.databases == set()


async def test_a_name_is_quoted() -> None:
    assert quoted('my "own" database') == '"my ""own"" database"'


async def test_none_is_made_before_the_first_is_asked_for() -> None:
    async with _clones() as (server, _):
        await _settle()
        assert server.databases == set()


async def test_two_spares_are_kept_ready() -> None:
    async with _clones() as (server, clones):
        assert await clones.take() == "copy_1"
        await _settle()
        assert server.databases == {"copy_1", "copy_2", "copy_3"}
        server.gate.clear()
        assert [await clones.take(), await clones.take()] == ["copy_2", "copy_3"]
        third = asyncio.create_task(clones.take())
        await _settle()
        assert not third.done()
        server.gate.set()
        assert await third == "copy_4"


async def test_what_was_used_is_dropped_when_nothing_else_is_to_do() -> None:
    async with _clones() as (server, clones):
        clones.give_back(await clones.take())
        await _settle()
        assert server.databases == {"copy_2", "copy_3"}


async def test_what_could_not_be_dropped_is_dropped_at_the_end() -> None:
    async with _clones() as (server, clones):
        name = await clones.take()
        await _settle()
        server.errors.append("DROP")
        clones.give_back(name)
        await _settle()
        assert server.errors == []
        assert name in server.databases


async def test_who_waits_gets_to_see_why_no_copy_is_made() -> None:
    async with _clones() as (server, clones):
        server.errors.append("CREATE")
        with pytest.raises(LookupError, match="CREATE"):
            await clones.take()
        assert await clones.take() == "copy_2"


async def test_a_spare_that_cannot_be_made_is_tried_again_by_the_next_who_asks() -> None:
    async with _clones() as (server, clones):
        assert await clones.take() == "copy_1"
        await _settle()
        server.errors.append("CREATE")
        assert await clones.take() == "copy_2"
        await _settle()
        assert server.errors == []
        assert server.databases == {"copy_1", "copy_2", "copy_3"}
        await clones.take()
        await _settle()
        assert server.databases == {"copy_1", "copy_2", "copy_3", "copy_5", "copy_6"}


@pytest.mark.parametrize("fails", [False, True])
async def test_who_has_given_up_is_passed_over(fails: bool) -> None:
    async with _clones() as (server, clones):
        server.gate.clear()
        first, second = asyncio.create_task(clones.take()), asyncio.create_task(clones.take())
        await _settle()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        server.errors += ["CREATE"] * fails
        server.gate.set()
        assert await second == ("copy_2" if fails else "copy_1")
