"""What SQLAlchemy does in tasks of its own counts as the work of the user's task, at the user's line."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker

from pytest_uno.database import SandboxConflict
from pytest_uno.database.callers import calling_site, calling_task, follow_callers, forget_callers
from pytest_uno.database.user_frames import Site
from tests.database.library import Author, names
from tests.database.running import Run, sandboxed

_FOLDER = Path(__file__).parent


async def _add(engine: AsyncEngine, name: str) -> None:
    async with async_sessionmaker(engine).begin() as session:  # its only statement is sent at its end
        session.add(Author(name=name))


_LINE = _add.__code__.co_firstlineno + 1


def test_a_conflict_within_one_task_is_found_at_once(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine, wait=60, root=_FOLDER), AsyncSession(engine) as session:
            session.add(Author(name="mine"))
            await session.flush()
            with pytest.raises(
                SandboxConflict, match=rf"same task.*\n.*\n.*\n.*\n  second: .* at test_callers\.py:{_LINE}\b"
            ):
                await _add(engine, "other")

    run(main)


def test_a_connection_of_the_same_task_nests(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine, conflict="join", wait=60), AsyncSession(engine) as session:
            session.add(Author(name="mine"))
            await session.flush()
            await _add(engine, "other")
            await session.commit()
            assert await names(engine) == ["mine", "other"]

    run(main)


def test_another_task_is_named_by_its_own_name_and_line(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine, wait=0.02, root=_FOLDER), AsyncSession(engine) as session:
            session.add(Author(name="mine"))
            await session.flush()
            child = asyncio.create_task(_add(engine, "other"), name="child")
            with pytest.raises(
                SandboxConflict, match=rf"task 'child' waited[^~]*waiter: .* at test_callers\.py:{_LINE}\b"
            ):
                await child

    run(main)


def test_records_name_the_task_and_the_line(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine, root=_FOLDER) as sandbox:
            await asyncio.create_task(_add(engine, "one"), name="adder")
            async with engine.connect() as connection:
                await connection.execute(insert(Author).values(name="two"))
            (commit,), (discarded,) = sandbox.commits, sandbox.discarded
            assert commit.task == "adder"
            assert commit.site is not None
            assert (commit.site.file, commit.site.line) == ("test_callers.py", _LINE)
            assert commit.statements[0].site == commit.site
            task = asyncio.current_task()
            assert task is not None
            assert discarded.task == task.get_name()

    run(main)


def test_a_task_that_is_made_meanwhile_is_another_one(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine, wait=60) as sandbox:
            await _add(engine, "one")
            await asyncio.create_task(_add(engine, "two"), name="child")
            assert [commit.task == "child" for commit in sandbox.commits] == [False, True]

    run(main)


def test_sqlalchemy_is_left_as_it_was(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        before = AsyncSession.__aexit__, AsyncConnection.__aexit__
        async with sandboxed(engine):
            assert (AsyncSession.__aexit__, AsyncConnection.__aexit__) != before
        assert (AsyncSession.__aexit__, AsyncConnection.__aexit__) == before

    run(main)


def test_who_follows_leaves_for_itself_only() -> None:
    def first() -> Site:
        return []

    def second() -> Site:
        return []

    before = AsyncSession.__aexit__
    follow_callers(first)
    follow_callers(second)
    forget_callers(first)
    forget_callers(first)
    assert AsyncSession.__aexit__ is not before
    forget_callers(second)
    assert AsyncSession.__aexit__ is before


def test_a_block_that_ends_after_all_have_left_is_nobody_s_call() -> None:
    seen: list[object] = []

    class Session(AsyncSession):
        async def close(self) -> None:
            seen.append(calling_site())

    def capture() -> Site:
        return [first_line]

    async def main() -> None:
        follow_callers(capture)
        try:
            leave = AsyncSession.__aexit__
            await leave(Session(), None, None, None)
        finally:
            forget_callers(capture)
        await leave(Session(), None, None, None)

    first_line = object()
    asyncio.run(main())
    assert seen == [[first_line], None]


def test_outside_of_a_loop_nobody_calls() -> None:
    assert calling_task() is None
