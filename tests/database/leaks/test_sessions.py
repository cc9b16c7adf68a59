"""UNO301: sessions with an open transaction."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from typing import Any
from unittest.mock import AsyncMock

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.pool import StaticPool

from pytest_uno.leaks.model import Finding
from pytest_uno.leaks.owners import Owner
from tests.leaks.conftest import Bench

LineOf = Callable[[Callable[..., object], str], int]

SELECT = text("SELECT 1")


def rules(findings: list[Finding]) -> list[str]:
    return [finding.rule for finding in findings]


class OwnSession(AsyncSession):
    pass


@pytest.mark.parametrize("kind", [AsyncSession, OwnSession])
def test_a_session_in_a_transaction(
    bench: Bench, engine: AsyncEngine, line_of: LineOf, kind: type[AsyncSession]
) -> None:
    kept: list[AsyncSession] = []

    async def test() -> None:
        session = kind(engine)  # made
        kept.append(session)
        await session.execute(SELECT)  # taken

    (finding,) = bench.run_test(test)
    assert (finding.rule, finding.subject, finding.target) == (
        "UNO301",
        f"{kind.__name__} with an open transaction",
        kind.__name__,
    )
    assert finding.created[0].line == line_of(test, "# made")
    assert f"test_sessions.py:{line_of(test, '# taken')} in " in finding.details
    assert finding.owner.name == "test"

    async def later() -> None:
        await kept[0].close()

    assert bench.run_test(later) == []


@pytest.mark.parametrize("collects", [False, True])
def test_a_dropped_session_is_the_same_leak(
    bench: Bench, engine: AsyncEngine, line_of: LineOf, collects: bool
) -> None:
    async def test() -> None:
        session = async_sessionmaker(engine)()  # made
        await session.execute(SELECT)
        del session
        if collects:
            gc.collect()

    (finding,) = bench.run_test(test)
    assert (finding.rule, finding.subject) == ("UNO301", "AsyncSession with an open transaction")
    assert finding.created[0].line == line_of(test, "# made")


def test_what_was_reported_is_closed(bench: Bench, engine: AsyncEngine) -> None:
    kept: list[AsyncSession] = []

    async def test() -> None:
        kept.append(AsyncSession(engine))
        await kept[0].execute(SELECT)

    assert rules(bench.run_test(test)) == ["UNO301"]
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    kept.clear()

    async def next_test() -> None:
        gc.collect()  # says nothing

    assert bench.run_test(next_test) == []


def test_a_session_of_two_engines_is_one_leak(bench: Bench, engine: AsyncEngine, tmp_path: Any) -> None:
    other = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/other.db")
    kept: list[AsyncSession] = []

    async def test() -> None:
        session = AsyncSession(engine)
        kept.append(session)
        await session.execute(SELECT)
        await session.execute(SELECT, bind_arguments={"bind": other.sync_engine})

    assert rules(bench.run_test(test)) == ["UNO301"]
    assert [each.pool.checkedout() for each in (engine, other)] == [0, 0]  # type: ignore[attr-defined]
    bench.run_as(None, other.dispose)


def test_a_shared_connection(bench: Bench) -> None:
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    kept: list[AsyncSession] = []

    async def test(*, collects: bool = False, keeps: bool = True) -> None:
        session = AsyncSession(engine)
        await session.execute(SELECT)
        if keeps:
            kept.append(session)
        async with AsyncSession(engine) as other:
            await other.execute(SELECT)
        del session
        if collects:
            gc.collect()

    assert rules(bench.run_test(test)) == ["UNO301"]
    assert rules(bench.run_test(lambda: test(keeps=False))) == ["UNO301"]
    assert rules(bench.run_test(lambda: test(keeps=False, collects=True))) == ["UNO301"]
    bench.run_as(None, engine.dispose)


async def _use_and_close(engine: AsyncEngine) -> None:
    session = AsyncSession(engine)
    await session.execute(SELECT)
    await session.close()


async def _use_in_block(engine: AsyncEngine) -> None:
    async with AsyncSession(engine) as session, session.begin():
        await session.execute(SELECT)


async def _roll_back(engine: AsyncEngine) -> None:
    session = AsyncSession(engine)
    await session.execute(SELECT)
    await session.rollback()
    KEPT.append(session)


async def _never_use(engine: AsyncEngine) -> None:
    KEPT.append(AsyncSession(engine))


async def _begin_only(engine: AsyncEngine) -> None:
    session = AsyncSession(engine)
    await session.begin()
    KEPT.append(session)


async def _scoped(engine: AsyncEngine) -> None:
    scoped = async_scoped_session(async_sessionmaker(engine), asyncio.current_task)
    await scoped.execute(SELECT)
    await scoped.remove()


async def _dependency(engine: AsyncEngine) -> None:
    async def get_session() -> AsyncIterator[AsyncSession]:
        async with AsyncSession(engine) as session:
            yield session

    generator = get_session()
    await (await anext(generator)).execute(SELECT)
    await generator.aclose()  # type: ignore[attr-defined]


async def _mock(engine: AsyncEngine) -> None:
    session = AsyncMock(spec=AsyncSession)
    await session.execute(SELECT)
    KEPT.append(session)


async def _many_at_once(engine: AsyncEngine) -> None:
    await asyncio.gather(*(_use_in_block(engine) for _ in range(3)))


async def _joined(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        session = AsyncSession(bind=connection, join_transaction_mode="create_savepoint")
        await session.execute(SELECT)
        KEPT.append(session)


KEPT: list[Any] = []


@pytest.mark.parametrize(
    "use",
    [
        _use_and_close,
        _use_in_block,
        _roll_back,
        _never_use,
        _begin_only,
        _scoped,
        _dependency,
        _mock,
        _many_at_once,
        _joined,
    ],
)
def test_look_alikes(bench: Bench, engine: AsyncEngine, use: Callable[[AsyncEngine], Any]) -> None:
    assert bench.run_test(lambda: use(engine)) == []
    KEPT.clear()


def test_a_session_that_was_given_a_connection(bench: Bench, engine: AsyncEngine) -> None:
    async def test() -> None:
        connection = await engine.connect()
        session = AsyncSession(bind=connection)
        await session.execute(SELECT)
        KEPT.append((connection, session))

    assert rules(bench.run_test(test)) == ["UNO302"]
    KEPT.clear()


def test_a_session_that_was_made_before_the_tests(bench: Bench, engine: AsyncEngine) -> None:
    session = AsyncSession(engine)

    async def test() -> None:
        await session.execute(SELECT)

    assert bench.run_test(test) == []
    bench.run_as(None, session.close)


def test_a_session_that_is_used_again(bench: Bench, engine: AsyncEngine) -> None:
    kept: list[AsyncSession] = []

    async def first() -> None:
        kept.append(AsyncSession(engine))
        await kept[0].execute(SELECT)
        await kept[0].commit()

    async def second() -> None:
        await kept[0].execute(SELECT)

    assert bench.run_test(first) == []
    (finding,) = bench.run_test(second)
    assert (finding.rule, finding.owner.name) == ("UNO301", "second")


def test_a_session_of_a_wider_fixture(bench: Bench, engine: AsyncEngine) -> None:
    fixture = Owner("fixture", "session", "module")

    async def set_up() -> AsyncSession:
        return AsyncSession(engine)

    session: AsyncSession = bench.run_as(fixture, set_up)

    async def test() -> None:
        await session.execute(SELECT)

    assert bench.run_test(test, loop_ends=False) == []
    fixture.ended = True

    async def last() -> None: ...

    (finding,) = bench.run_test(last)
    assert (finding.rule, finding.owner.name) == ("UNO301", "session")


def test_a_session_that_a_wider_fixture_holds(bench: Bench, engine: AsyncEngine) -> None:
    fixture = Owner("fixture", "cache", "module")
    cache: list[AsyncSession] = []
    bench.detection.retain(fixture, cache)

    async def test() -> None:
        cache.append(AsyncSession(engine))
        await cache[0].execute(SELECT)

    assert bench.run_test(test, loop_ends=False) == []
    bench.detection.release(fixture)
    fixture.ended = True
    (finding,) = bench.detection.drain()
    assert (finding.rule, finding.owner.name) == ("UNO301", "cache")


def test_an_ignored_session(bench: Bench, engine: AsyncEngine) -> None:
    async def test() -> None:
        session = AsyncSession(engine)
        await session.execute(SELECT)
        bench.detection.ignored.add(session)
        KEPT.append(session)

    assert bench.run_test(test) == []
    bench.run_as(None, KEPT.pop().close)


@pytest.mark.parametrize("closes", [False, True])
def test_a_session_of_a_leaked_task(bench: Bench, engine: AsyncEngine, closes: bool) -> None:
    async def work() -> None:
        session = AsyncSession(engine)
        await session.execute(SELECT)
        try:
            await asyncio.Event().wait()
        finally:
            if closes:
                await session.close()
            else:
                KEPT.append(session)

    async def test() -> None:
        KEPT.append(asyncio.create_task(work()))
        await asyncio.sleep(0.05)

    assert rules(bench.run_test(test)) == ["UNO101"]
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    KEPT.clear()


def test_a_test_that_is_not_judged(bench: Bench, engine: AsyncEngine) -> None:
    async def unjudged() -> AsyncSession:
        session = AsyncSession(engine)
        await session.execute(SELECT)
        return session

    session: AsyncSession = bench.run_as(None, unjudged)

    async def test() -> None: ...

    assert bench.run_test(test) == []
    bench.run_as(None, session.close)


def test_a_session_in_a_suspended_generator_goes_with_it(bench: Bench, engine: AsyncEngine) -> None:
    kept: list[Any] = []

    async def rows() -> AsyncIterator[int]:
        async with AsyncSession(engine) as session:
            for row in (await session.execute(SELECT)).scalars():
                yield row

    async def test() -> None:
        generator = rows()
        kept.append(generator)
        await anext(generator)

    assert rules(bench.run_test(test)) == ["UNO202"]
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]

    async def another() -> None:
        kept.append(AsyncSession(engine))
        await kept[-1].execute(SELECT)
        await test()

    assert rules(bench.run_test(another)) == ["UNO202", "UNO301"]  # the generator does not hold that one
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
