from __future__ import annotations

import asyncio
import time

import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from pytest_uno.database import SandboxConflict
from tests.database.library import Author, names, names_in
from tests.database.running import Run, sandboxed

_SHORT = 0.05


async def _add(engine: AsyncEngine, name: str) -> None:
    async with AsyncSession(engine) as session:
        session.add(Author(name=name))
        await session.flush()
        await asyncio.sleep(0.001)
        session.add(Author(name=name + "2"))
        await session.commit()


def test_sessions_of_a_gather_each_commit(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine) as sandbox:
            await asyncio.gather(*(_add(engine, name) for name in "abcd"))
            assert len(await names(engine)) == 8
            assert [record.writes for record in sandbox.commits] == [2] * 4
        assert await names(engine) == []

    run(main)


def test_tasks_get_their_turn_in_the_order_in_which_they_came(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        order: list[int] = []

        async def work(number: int) -> None:
            async with engine.begin() as connection:
                await connection.execute(insert(Author).values(name=f"{number}"))
                order.append(number)
                await asyncio.sleep(0)

        async with sandboxed(engine), engine.connect() as holder:
            await holder.execute(insert(Author).values(name="x"))
            tasks = []
            for number in range(6):
                tasks.append(asyncio.create_task(work(number)))
                for _ in range(20):
                    await asyncio.sleep(0)
            await holder.commit()
            await asyncio.gather(*tasks)
            assert order == list(range(6))

    run(main)


def test_a_rollback_of_another_task_keeps_my_commit(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        wrote, may_roll_back = asyncio.Event(), asyncio.Event()

        async def loser() -> None:
            async with engine.connect() as connection:
                await connection.execute(select(Author))
                wrote.set()
                await may_roll_back.wait()
                await connection.execute(insert(Author).values(name="lost"))
                await connection.rollback()

        async with sandboxed(engine), asyncio.TaskGroup() as group:
            group.create_task(loser())
            await wrote.wait()
            async with engine.begin() as connection:
                await connection.execute(insert(Author).values(name="Ann"))
                may_roll_back.set()
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert "Ann" in await names(engine)

    run(main)


def test_uncommitted_rows_are_not_seen_by_other_tasks(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        wrote = asyncio.Event()

        async def write() -> None:
            async with engine.connect() as connection:
                await connection.execute(insert(Author).values(name="Ann"))
                wrote.set()
                for _ in range(50):
                    await asyncio.sleep(0)
                await connection.rollback()

        async with sandboxed(engine), asyncio.TaskGroup() as group:
            group.create_task(write())
            await wrote.wait()
            assert await names(engine) == []

    run(main)


def test_readers_interleave(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async def read() -> None:
            async with engine.connect() as connection:
                for _ in range(4):
                    assert await names_in(connection) == ["Ann"]
                    await asyncio.sleep(0)

        async with sandboxed(engine):
            async with engine.begin() as connection:
                await connection.execute(insert(Author).values(name="Ann"))
            await asyncio.gather(*(read() for _ in range(4)))

    run(main)


def test_a_long_queue_is_no_deadlock(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async def work(number: int) -> None:
            async with engine.begin() as connection:
                await connection.execute(insert(Author).values(name=f"{number}"))
                await asyncio.to_thread(time.sleep, 0.04)

        async with sandboxed(engine, wait=1.2):
            await asyncio.gather(*(work(number) for number in range(40)))
            assert len(await names(engine)) == 40

    run(main)


def test_an_open_reader_in_the_test_does_not_block_the_application(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine, wait=_SHORT), AsyncSession(engine) as reader:
            assert (await reader.scalars(select(Author.name))).all() == []
            await asyncio.create_task(_add(engine, "a"))
            assert sorted((await reader.scalars(select(Author.name))).all()) == ["a", "a2"]
            await _add(engine, "b")

    run(main)


def test_a_conflict_within_a_task_is_reported_at_once_with_names(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine, wait=3600), AsyncSession(engine) as session:
            session.add(Author(name="Ann"))
            await session.flush()  # the holder
            for attempt in ("SELECT 1", "INSERT INTO authors (name) VALUES ('Bob')"):
                async with engine.connect() as other:
                    with pytest.raises(SandboxConflict) as caught:
                        await other.execute(text(attempt))
            message = str(caught.value)
            task = asyncio.current_task()
            assert task is not None
            assert "second database connection" in message
            assert "test_rollback_tasks.py:" in message
            assert f"task {task.get_name()!r}, 1 uncommitted write to authors" in message
            assert "last SQL: INSERT INTO authors" in message
            assert "db_conflict='join'" in message
            await session.commit()
            assert await names(engine) == ["Ann"]

    run(main)


def test_a_parent_that_waits_for_its_child_is_told_who_holds_the_connection(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine, wait=_SHORT), AsyncSession(engine) as session:
            session.add(Author(name="Ann"))
            await session.flush()
            child = asyncio.create_task(names(engine), name="the child")
            with pytest.raises(SandboxConflict) as caught:
                async with asyncio.timeout(30):
                    await child
            message = str(caught.value)
            assert message.startswith("task 'the child' waited 0.05 s of real time")
            holder = message.partition("holder: ")[2].partition("waiter: ")[0]
            assert "test_rollback_tasks.py:" in holder
            assert "INSERT INTO authors" in holder
            await session.commit()
            assert await asyncio.create_task(names(engine)) == ["Ann"]

    run(main)


def test_a_holder_that_sleeps_lets_virtual_time_go_on(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        loop = asyncio.get_running_loop()
        nap = 0.01 if not hasattr(loop, "clock") else 3600
        wrote = asyncio.Event()

        async def hold() -> None:
            async with engine.begin() as connection:
                await connection.execute(insert(Author).values(name="Ann"))
                wrote.set()
                await asyncio.sleep(nap)

        async with sandboxed(engine), asyncio.TaskGroup() as group:
            group.create_task(hold())
            await wrote.wait()
            before = loop.time()
            assert await names(engine) == ["Ann"]
            assert nap / 2 <= loop.time() - before
            if hasattr(loop, "clock"):
                assert loop.time() - before == pytest.approx(nap)

    run(main)


def test_join_nests_within_the_task(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine, conflict="join", wait=_SHORT), engine.connect() as outer:
            await outer.execute(insert(Author).values(name="Ann"))
            assert await names(engine) == ["Ann"]
            async with engine.begin() as inner:
                await inner.execute(insert(Author).values(name="Bob"))
                with pytest.raises(SandboxConflict, match="nested in it"):
                    await outer.execute(select(Author))
            assert await names_in(outer) == ["Ann", "Bob"]
            async with engine.connect() as inner:
                await inner.execute(insert(Author).values(name="Cid"))
            with pytest.raises(SandboxConflict, match="waited"):
                await asyncio.create_task(names(engine))
            await outer.commit()
            assert await names(engine) == ["Ann", "Bob"]
            async with engine.connect() as outer:
                await outer.execute(insert(Author).values(name="Dan"))
                async with engine.begin() as inner:
                    await inner.execute(insert(Author).values(name="Eve"))
            assert await names(engine) == ["Ann", "Bob"]

    run(main)


def test_the_outer_transaction_cannot_end_before_the_one_that_join_has_nested_in_it(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine, conflict="join"):
            outer, inner = engine.connect(), engine.connect()
            await outer.start()
            await inner.start()
            await outer.execute(insert(Author).values(name="Ann"))
            await inner.execute(insert(Author).values(name="Bob"))
            with pytest.raises(SandboxConflict, match="nested in it"):
                await outer.commit()
            await inner.commit()
            await inner.close()
            await outer.rollback()
            await outer.close()
            assert await names(engine) == []

    run(main)


def test_a_reader_nested_by_join_does_not_let_others_in(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine, conflict="join", wait=_SHORT), engine.connect() as outer:
            await outer.execute(insert(Author).values(name="Ann"))
            async with engine.connect() as inner:
                assert await names_in(inner) == ["Ann"]
                with pytest.raises(SandboxConflict, match="waited"):
                    await asyncio.create_task(names(engine))
                await outer.execute(insert(Author).values(name="Bob"))
                await outer.commit()
                assert await names_in(inner) == ["Ann", "Bob"]

    run(main)


def test_one_connection_in_two_tasks_is_reported(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine), engine.connect() as connection:
            await connection.execute(select(Author))
            first = asyncio.create_task(connection.execute(select(Author)), name="first")
            await asyncio.sleep(0)
            second = asyncio.create_task(connection.execute(select(Author)), name="second")
            results = await asyncio.gather(first, second, return_exceptions=True)
            errors = [one for one in results if isinstance(one, Exception)]
            assert len(errors) == 1
            assert isinstance(errors[0], SandboxConflict)
            assert "two tasks at once: by 'first'" in str(errors[0])
            assert "and by 'second'" in str(errors[0])

    run(main)


def test_a_time_out_in_mid_statement_keeps_sandbox_and_data(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine) as sandbox:
            async with engine.begin() as connection:
                await connection.execute(insert(Author).values(name="Ann"))
            statement = asyncio.create_task(_slow(engine))
            while len(sandbox.queries) < 3:
                await asyncio.sleep(0)
            await asyncio.to_thread(int)
            statement.cancel()
            with pytest.raises(asyncio.CancelledError):
                await statement
            assert await names(engine) == ["Ann"]
            async with engine.begin() as connection:
                await connection.execute(insert(Author).values(name="Bob"))
            assert await names(engine) == ["Ann", "Bob"]
            (lost,) = sandbox.discarded
            assert lost.outcome in ("terminate", "rollback")  # psycopg makes an error of the database of it
        assert await names(engine) == []

    run(main)


async def _slow(engine: AsyncEngine) -> None:
    slow = (
        "SELECT pg_sleep(30)"
        if engine.dialect.name == "postgresql"
        else "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) SELECT max(i) FROM n"
    )
    async with engine.begin() as connection:
        await connection.execute(insert(Author).values(name="lost"))
        await connection.execute(text(slow))
        raise AssertionError("it was not slow")


@pytest.mark.parametrize("turns", range(12))
def test_cancellation_at_any_moment_leaves_a_usable_sandbox(run: Run, turns: int) -> None:
    async def main(engine: AsyncEngine) -> None:
        async def work() -> None:
            async with engine.begin() as connection:
                await connection.execute(insert(Author).values(name="lost"))
                async with connection.begin_nested():
                    await connection.execute(update(Author).values(name=func.upper(Author.name)))
                await asyncio.Event().wait()

        async with sandboxed(engine):
            task = asyncio.create_task(work())
            for _ in range(turns):
                if turns > 6:
                    await asyncio.to_thread(int)  # lets the database go on
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await names(engine) == []
            await _add(engine, "a")
            assert await names(engine) == ["a", "a2"]

    run(main)


def test_a_task_cancelled_while_it_waits_leaves_its_place(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine), engine.connect() as holder:
            await holder.execute(insert(Author).values(name="Ann"))
            first = asyncio.create_task(_add(engine, "a"))
            second = asyncio.create_task(_add(engine, "b"))
            for _ in range(20):
                await asyncio.sleep(0)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            await holder.commit()
            await second
            assert await names(engine) == ["Ann", "b", "b2"]

    run(main)


def test_a_turn_that_comes_with_the_cancellation_is_passed_on(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine), engine.connect() as holder:
            await holder.execute(insert(Author).values(name="Ann"))
            first = asyncio.create_task(_add(engine, "a"))
            second = asyncio.create_task(_add(engine, "b"))
            for _ in range(20):
                await asyncio.sleep(0)

            async def commit_and_cancel() -> None:
                await holder.commit()
                first.cancel()

            await commit_and_cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            await second
            assert await names(engine) == ["Ann", "b", "b2"]

    run(main)


def test_many_tasks_that_read_and_write_all_get_done(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async def work(number: int) -> None:
            async with AsyncSession(engine) as session:
                await session.scalars(select(Author))
                session.add(Author(name=f"w{number:02}"))
                await session.commit()
                await session.scalars(select(Author))
                await session.rollback()

        async with sandboxed(engine) as sandbox:
            await asyncio.gather(*(work(number) for number in range(16)))
            assert len(await names(engine)) == 16
            assert len(sandbox.commits) == 16

    run(main)
