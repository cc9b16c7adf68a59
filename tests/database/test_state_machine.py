"""The sandbox against a plain database: the same random steps, the same results, and nothing left in the end.

The plain one is SQLite as the driver has it by default: a transaction begins with its first write, and reads outside of
one see what is committed. Two transactions that write at once are an error in both, another one in each; the steps
avoid that, but for one that checks it.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncTransaction, create_async_engine

from pytest_uno.database import RollbackSandbox, SandboxConflict
from tests.database.running import LOOPS

_SESSIONS = 3
_AUTO = _SESSIONS
_NAMES = st.sampled_from("abcdef")
_WHO = st.integers(0, _SESSIONS - 1)
_SLOW = (
    "INSERT INTO items (name) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
    " SELECT 'slow' || i FROM n WHERE i % 1000 = 0"
)
_SCHEMA = """
CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL);
INSERT INTO items (name) VALUES ('a'), ('old');
"""


class _World:
    """One database, some connections, and the savepoints that each has set."""

    def __init__(self, path: Path, *, is_sandboxed: bool) -> None:
        self.path = path
        self.engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        self.sandbox = RollbackSandbox([self.engine], wait=0.02) if is_sandboxed else None
        self.connections: list[AsyncConnection] = []
        self.nested: list[list[AsyncTransaction | str]] = [[] for _ in range(_SESSIONS + 1)]

    async def open(self) -> None:
        if self.sandbox is not None:
            self.sandbox.start()
        for number in range(_SESSIONS + 1):
            connection = await self.engine.connect()
            if number == _AUTO:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
            self.connections.append(connection)

    async def close(self) -> list[Any]:
        for connection in self.connections:
            await connection.close()
        async with self.engine.connect() as connection:
            rows = list(await connection.execute(text("SELECT name FROM items ORDER BY name")))
        if self.sandbox is not None:
            end = await self.sandbox.stop()
            assert end.escape is None
            assert not self.sandbox._out
        await self.engine.dispose()
        return rows


_Step = Callable[[_World], Awaitable[Any]]


class _Machine(RuleBasedStateMachine):
    loop = "real"

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        for name in ("plain", "sandbox"):
            database = sqlite3.connect(self.folder / name)
            database.executescript(_SCHEMA)
            database.close()
        self.before = _dump(self.folder / "sandbox")
        self.runner = asyncio.Runner(loop_factory=LOOPS[self.loop])
        self.plain = _World(self.folder / "plain", is_sandboxed=False)
        self.sandboxed = _World(self.folder / "sandbox", is_sandboxed=True)
        self.runner.run(self.plain.open())
        self.runner.run(self.sandboxed.open())
        self.writer: int | None = None
        self.readers: set[int] = set()
        self.tables = 0

    def both(self, step: _Step) -> Any:
        """Take a step in both worlds; what it returns or raises must be the same."""

        async def take(world: _World) -> Any:
            try:
                return await step(world)
            except DBAPIError as error:
                return type(error).__name__, str(error.orig)

        plain = self.runner.run(take(self.plain))
        sandboxed = self.runner.run(take(self.sandboxed))
        assert sandboxed == plain
        return sandboxed

    def execute(self, who: int, sql: str, **values: Any) -> Any:
        async def step(world: _World) -> Any:
            result = await world.connections[who].execute(text(sql), values)
            return [tuple(row) for row in result] if result.returns_rows else result.rowcount

        return self.both(step)

    def may_write(self, who: int) -> bool:
        return self.writer in (None, who) and not self.readers - {who}

    def write(self, who: int, sql: str, **values: Any) -> None:
        if not self.may_write(who):
            return
        self.execute(who, sql, **values)
        if who != _AUTO:
            self.writer = who

    def forget(self, who: int) -> None:
        for world in (self.plain, self.sandboxed):
            world.nested[who].clear()
        self.readers.discard(who)
        if self.writer == who:
            self.writer = None

    @rule(who=st.integers(0, _AUTO), name=_NAMES)
    def insert(self, who: int, name: str) -> None:
        self.write(who, "INSERT INTO items (name) VALUES (:name)", name=name)

    @rule(who=st.integers(0, _AUTO), name=_NAMES, other=_NAMES)
    def update(self, who: int, name: str, other: str) -> None:
        self.write(who, "UPDATE items SET name = :other WHERE name = :name", name=name, other=other)

    @rule(who=st.integers(0, _AUTO), name=_NAMES)
    def delete(self, who: int, name: str) -> None:
        self.write(who, "DELETE FROM items WHERE name = :name", name=name)

    @rule(who=_WHO)
    def create_table(self, who: int) -> None:
        if self.writer == who:  # the driver commits DDL at once where no write has begun a transaction
            self.tables += 1
            self.execute(who, f"CREATE TABLE extra{self.tables} (id INTEGER)")

    @rule(
        who=_WHO, sql=st.sampled_from(["SELECT name FROM items ORDER BY name", "SELECT nothing FROM nowhere"])
    )
    def read(self, who: int, sql: str) -> None:
        if self.writer in (None, who):
            self.execute(who, sql)
            if self.plain.nested[who] and self.writer != who:
                self.readers.add(who)  # from here on it has a snapshot, in the plain database

    @rule(who=_WHO)
    def others_are_refused_while_one_writes(self, who: int) -> None:
        if self.writer in (None, who):
            return

        async def try_it() -> None:
            with pytest.raises(SandboxConflict):
                await self.sandboxed.connections[who].execute(text("SELECT 1"))

        self.runner.run(try_it())

    @rule(who=_WHO, is_raw=st.booleans())
    def set_savepoint(self, who: int, is_raw: bool) -> None:
        if not self.may_write(who) and self.writer is not None:
            return

        async def step(world: _World) -> None:
            connection = world.connections[who]
            if self.writer != who and not world.nested[who]:
                await connection.exec_driver_sql("BEGIN")  # else RELEASE would be a COMMIT
            if is_raw or any(isinstance(one, str) for one in world.nested[who]):
                name = f"s{len(world.nested[who])}"
                await connection.exec_driver_sql(f"SAVEPOINT {name}")
                world.nested[who].append(name)
            else:
                world.nested[who].append(await connection.begin_nested())

        self.both(step)

    @rule(who=_WHO, is_kept=st.booleans())
    def end_savepoint(self, who: int, is_kept: bool) -> None:
        if not self.plain.nested[who] or self.writer not in (None, who):
            return

        async def step(world: _World) -> None:
            nested = world.nested[who].pop()
            if isinstance(nested, str):
                command = "RELEASE" if is_kept else "ROLLBACK TO"
                await world.connections[who].exec_driver_sql(f"{command} {nested}")
            else:
                await (nested.commit() if is_kept else nested.rollback())

        self.both(step)

    @rule(who=_WHO, is_kept=st.booleans(), is_raw=st.booleans())
    def end(self, who: int, is_kept: bool, is_raw: bool) -> None:
        if is_raw and (self.writer != who or any(not isinstance(one, str) for one in self.plain.nested[who])):
            return  # without a transaction the driver raises for a raw COMMIT

        async def step(world: _World) -> None:
            connection = world.connections[who]
            if is_raw:
                await connection.exec_driver_sql("COMMIT" if is_kept else "ROLLBACK")
            await (connection.commit() if is_kept else connection.rollback())

        self.both(step)
        self.forget(who)

    @rule(who=_WHO, turns=st.integers(0, 6))
    def cancel_in_mid_statement(self, who: int, turns: int) -> None:
        if not self.may_write(who):
            return

        async def step(world: _World) -> None:
            connection = world.connections[who]
            await connection.execute(
                text("SELECT 1")
            )  # aiosqlite loses a connection that is cancelled when it opens
            task = asyncio.create_task(connection.execute(text(_SLOW)))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await connection.rollback()

        self.both(step)
        self.forget(who)

    @precondition(lambda self: self.writer is None)
    @rule()
    def look_with_a_new_connection(self) -> None:
        async def step(world: _World) -> Any:
            async with world.engine.connect() as connection:
                return [
                    tuple(row) for row in await connection.execute(text("SELECT name FROM items ORDER BY id"))
                ]

        self.both(step)

    def teardown(self) -> None:
        if not hasattr(self, "runner"):
            return
        try:
            assert self.runner.run(self.sandboxed.close()) == self.runner.run(self.plain.close())
            assert _dump(self.folder / "sandbox") == self.before
        finally:
            self.runner.close()
            shutil.rmtree(self.folder)


def _dump(path: Path) -> list[str]:
    database = sqlite3.connect(path)
    try:
        return list(database.iterdump())
    finally:
        database.close()


@pytest.mark.parametrize("loop", LOOPS)
def test_random_steps_give_the_same_with_and_without_a_sandbox(loop: str) -> None:
    machine = type("_Machine", (_Machine,), {"loop": loop})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            database=None,
        ),
    )
