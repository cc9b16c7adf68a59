from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session

from tests.database.library import Author, names
from tests.database.running import Run, sandboxed


def test_a_commit_is_seen_in_the_test_and_gone_after_it(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        for _ in range(2):
            async with sandboxed(engine):
                async with AsyncSession(engine) as session:
                    session.add(Author(name="Ann"))
                    await session.commit()
                async with engine.begin() as connection:
                    await connection.execute(insert(Author).values(name="Bob"))
                assert await names(engine) == ["Ann", "Bob"]
            assert await names(engine) == []

    run(main)


def test_rows_of_before_are_there_and_stay(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with engine.begin() as connection:
            await connection.execute(insert(Author).values(name="Old"))
        async with sandboxed(engine):
            async with engine.begin() as connection:
                await connection.execute(text("DELETE FROM authors"))
            assert await names(engine) == []
        assert await names(engine) == ["Old"]

    run(main)


def test_events_of_sessions_and_engines_happen_once(run: Run) -> None:
    seen: list[str] = []

    async def main(engine: AsyncEngine) -> None:
        event.listen(engine.sync_engine, "commit", lambda _: seen.append("engine commit"))
        event.listen(engine.sync_engine, "rollback", lambda _: seen.append("engine rollback"))
        event.listen(engine.sync_engine, "begin", lambda _: seen.append("engine begin"))
        factory = async_sessionmaker(engine, sync_session_class=_Watched)
        event.listen(_Watched, "after_commit", lambda _: seen.append("commit"))
        event.listen(_Watched, "after_rollback", lambda _: seen.append("rollback"))
        async with sandboxed(engine):
            async with factory() as session:
                session.add(Author(name="Ann"))
                await session.commit()
            assert seen == ["engine begin", "engine commit", "commit"]
            seen.clear()
            async with factory() as session:
                session.add(Author(name="Bob"))
                await session.flush()
                await session.rollback()
            assert seen == ["engine begin", "engine rollback", "rollback"]

    class _Watched(Session):
        pass

    run(main)


def test_a_rollback_undoes_the_work_of_its_session_only(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine), AsyncSession(engine) as session:
            session.add(Author(name="Ann"))
            await session.commit()
            session.add(Author(name="Bob"))
            await session.flush()
            await session.rollback()
            session.add(Author(name="Cid"))
            await session.commit()
            assert await names(engine) == ["Ann", "Cid"]

    run(main)


def test_nested_transactions_end_as_they_do_without(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine) as sandbox, AsyncSession(engine) as session:
            async with session.begin():
                session.add(Author(name="Ann"))
                with pytest.raises(ZeroDivisionError):
                    async with session.begin_nested():
                        session.add(Author(name="Bob"))
                        await session.flush()
                        1 / 0  # noqa: B018
                async with session.begin_nested():
                    session.add(Author(name="Cid"))
            assert await names(engine) == ["Ann", "Cid"]
            assert [record.writes for record in sandbox.commits] == [2]  # what is undone does not count

    run(main)


def test_a_read_in_a_nested_transaction_gives_way_and_goes_on(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine), AsyncSession(engine) as reader:
            async with reader.begin_nested() as outer:
                assert (await reader.scalars(select(Author))).all() == []
                async with reader.begin_nested():
                    async with engine.begin() as connection:
                        await connection.execute(insert(Author).values(name="Ann"))
                    reader.add(Author(name="Bob"))
                async with reader.begin_nested() as lost:
                    reader.add(Author(name="Cid"))
                    await reader.flush()
                    await lost.rollback()
                await outer.commit()
            await reader.commit()
            assert await names(engine) == ["Ann", "Bob"]

    run(main)


def test_five_commits_are_five_records(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine) as sandbox:
            for number in range(5):
                async with engine.begin() as connection:
                    await connection.execute(insert(Author), [{"name": f"a{number}"}, {"name": f"b{number}"}])
                    await connection.execute(text("UPDATE authors SET name = 'x' WHERE id = -1"))
            async with engine.begin() as connection:
                await connection.execute(select(Author))
            async with engine.connect() as connection:
                await connection.execute(insert(Author).values(name="lost"))
            assert [record.writes for record in sandbox.commits] == [2] * 5
            assert len(sandbox.transactions) == 7
            (lost,) = sandbox.discarded
            assert lost.outcome == "rollback"
            first = sandbox.commits[0]
            assert first.tables == ("authors",)
            assert first.site is not None
            assert first.site.code == "async with engine.begin() as connection:"
            assert [one.kind for one in first.statements] == ["write", "write"]
            site = first.statements[1].site
            assert site is not None
            assert "UPDATE authors" in site.code
            assert len(sandbox.queries) == 12
            assert str(first).startswith(
                "commit of 2 writes to authors in 2 statements, connection #1 of task"
            )
            assert str(first.statements[1]).startswith("UPDATE authors SET name = 'x' WHERE id = -1  (")

    run(main)


def test_raw_transaction_statements_are_translated(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine) as sandbox:
            async with engine.connect() as connection:
                await connection.exec_driver_sql("BEGIN")
                await connection.exec_driver_sql("INSERT INTO authors (name) VALUES ('Ann')")
                await connection.exec_driver_sql("COMMIT")
                await connection.exec_driver_sql("BEGIN")
                await connection.exec_driver_sql("INSERT INTO authors (name) VALUES ('Bob')")
                await connection.exec_driver_sql("ROLLBACK")
                await connection.exec_driver_sql("INSERT INTO authors (name) VALUES ('Cid')")
                await connection.exec_driver_sql("SAVEPOINT one")
                await connection.exec_driver_sql("INSERT INTO authors (name) VALUES ('Dan')")
                await connection.exec_driver_sql("ROLLBACK TO SAVEPOINT one")
                await connection.exec_driver_sql("RELEASE SAVEPOINT one")
                await connection.commit()
            assert await names(engine) == ["Ann", "Cid"]
            assert [record.outcome for record in sandbox.transactions[:3]] == ["commit", "rollback", "commit"]
        assert await names(engine) == []

    run(main)


def test_a_raw_begin_within_autocommit_holds_until_its_end(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine) as sandbox:
            async with engine.connect() as connection:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                await connection.exec_driver_sql("INSERT INTO authors (name) VALUES ('Ann')")
                await connection.exec_driver_sql("BEGIN")
                await connection.exec_driver_sql("INSERT INTO authors (name) VALUES ('Bob')")
                await connection.exec_driver_sql("ROLLBACK")
                await connection.exec_driver_sql("INSERT INTO authors (name) VALUES ('Cid')")
            assert await names(engine) == ["Ann", "Cid"]
            assert [len(record.statements) for record in sandbox.commits] == [1, 1]

    run(main)


def test_autocommit_commits_each_statement(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        auto = engine.execution_options(isolation_level="AUTOCOMMIT")
        async with sandboxed(engine) as sandbox:
            async with auto.connect() as connection:
                await connection.execute(insert(Author).values(name="Ann"))
                with pytest.raises(IntegrityError):
                    await connection.execute(insert(Author).values(name="Ann"))
                await connection.execute(insert(Author).values(name="Bob"))
                await connection.rollback()
            assert await names(engine) == ["Ann", "Bob"]
            assert len(sandbox.commits) == 2
            assert [record.outcome for record in sandbox.transactions] == [
                "commit",
                "rollback",
                "commit",
                "rollback",
            ]
            assert sandbox.discarded == ()
            async with engine.connect() as connection:
                await connection.execute(insert(Author).values(name="Cid"))
            assert await names(engine) == ["Ann", "Bob"]
        assert await names(engine) == []

    run(main)


def test_a_failed_select_does_not_poison_others(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine), engine.connect() as bad, engine.connect() as good:
            await good.execute(select(Author))
            with pytest.raises((OperationalError, ProgrammingError)):
                await bad.execute(text("SELECT * FROM nowhere"))
            assert (await good.execute(select(Author))).all() == []
            await good.execute(insert(Author).values(name="Ann"))
            await good.commit()
            await bad.rollback()
            assert len((await bad.execute(select(Author))).all()) == 1

    run(main)


def test_the_same_table_can_be_created_in_two_tests(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        for _ in range(2):
            async with sandboxed(engine) as sandbox:
                async with engine.begin() as connection:
                    await connection.exec_driver_sql("CREATE TABLE extra (id INTEGER PRIMARY KEY)")
                async with engine.begin() as connection:
                    await connection.exec_driver_sql("INSERT INTO extra VALUES (1)")
                async with engine.connect() as connection:
                    found = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
                assert "extra" in found
                assert sandbox.commits[0].tables == ("extra",)
        async with engine.connect() as connection:
            found = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
        assert "extra" not in found

    run(main)


def test_after_an_integrity_error_a_session_goes_on(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine), AsyncSession(engine) as session:
            session.add(Author(name="Ann"))
            await session.commit()
            session.add(Author(name="Ann"))
            with pytest.raises(IntegrityError):
                await session.commit()
            await session.rollback()
            with pytest.raises(IntegrityError):
                async with session.begin_nested():
                    session.add(Author(name="Ann"))
            session.add(Author(name="Bob"))
            await session.commit()
            assert await names(engine) == ["Ann", "Bob"]

    run(main)


def test_rows_are_streamed_while_another_session_writes(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine):
            async with engine.begin() as connection:
                await connection.execute(insert(Author), [{"name": f"a{number:02}"} for number in range(20)])
            seen: list[str] = []
            async with engine.connect() as reader:
                options: dict[str, Any] = {"yield_per": 3}
                result = await reader.stream(
                    select(Author.name).order_by(Author.name), execution_options=options
                )
                async for name in result.scalars():
                    seen.append(name)
                    async with engine.begin() as connection:
                        await connection.execute(insert(Author).values(name=f"b{len(seen):02}"))
            assert [name for name in seen if name < "b"] == [f"a{number:02}" for number in range(20)]
            assert len(await names(engine)) == 20 + len(seen)

    run(main)


def test_a_stream_goes_on_beside_an_open_transaction_of_its_task(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine):
            async with engine.begin() as connection:
                await connection.execute(insert(Author), [{"name": f"a{number}"} for number in range(9)])
            async with engine.connect() as reader, engine.connect() as writer:
                options: dict[str, Any] = {"yield_per": 2}
                result = await reader.stream(
                    select(Author.name).where(Author.name < "b").order_by(Author.name),
                    execution_options=options,
                )
                seen = []
                async for name in result.scalars():
                    seen.append(name)
                    await writer.execute(insert(Author).values(name=f"b{name}"))
                await writer.rollback()
                assert seen == [f"a{number}" for number in range(9)]
            assert len(await names(engine)) == 9

    run(main)


def test_everything_of_a_result_can_be_fetched_from_a_stream(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine), engine.begin() as connection:
            await connection.execute(insert(Author), [{"name": f"a{number}"} for number in range(5)])
            result = await connection.stream(select(Author.name).order_by(Author.name))
            assert (await result.fetchone()) == ("a0",)
            assert (await result.fetchmany(2)) == [("a1",), ("a2",)]
            assert (await result.fetchall()) == [("a3",), ("a4",)]

    run(main)


def test_a_listener_may_send_statements_at_checkout_and_begin(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        connects: list[object] = []
        event.listen(engine.sync_engine, "connect", lambda dbapi, _: connects.append(dbapi))

        @event.listens_for(engine.sync_engine, "checkout")
        def check(dbapi: Any, *_: object) -> None:
            cursor = dbapi.cursor()
            cursor.execute("SELECT 1")
            assert list(cursor) == [(1,)]
            cursor.close()

        @event.listens_for(engine.sync_engine, "begin")
        def begin(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN")

        async with sandboxed(engine):
            for _ in range(3):
                async with engine.begin() as connection:
                    await connection.execute(insert(Author).values(name=f"a{len(await names(engine))}"))
            assert len(connects) <= 1

    run(main)


def test_a_cursor_can_be_used_as_it_is_without_a_sandbox(run: Run) -> None:
    def use(connection: Connection) -> None:
        dbapi: Any = connection.connection.dbapi_connection
        with dbapi.cursor() as cursor:
            cursor.execute("SELECT 2")
            cursor.arraysize = 3
            assert cursor.arraysize == 3
            assert cursor.description[0][0]
            assert cursor.fetchone() == (2,)
        assert list(dbapi.execute("SELECT 3")) == [(3,)]
        dbapi.rollback()

    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine), engine.connect() as connection:
            await connection.run_sync(use)

    run(main)


def test_a_callback_sees_each_statement_and_may_refuse_it(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine) as sandbox:
            seen: list[str] = []

            def watch(statement: Any) -> None:
                seen.append(statement.kind)
                if len(seen) > 1:
                    raise ZeroDivisionError

            sandbox.on_statement = watch
            assert sandbox.on_statement is watch
            async with engine.connect() as connection:
                await connection.execute(select(Author))
                with pytest.raises(ZeroDivisionError):
                    await connection.execute(insert(Author).values(name="Ann"))
                sandbox.on_statement = None
                await connection.execute(insert(Author).values(name="Ann"))
            assert seen == ["read", "write"]

    run(main)
