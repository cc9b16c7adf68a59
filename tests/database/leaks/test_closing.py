"""Closing what was leaked, whatever its driver can do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pytest_uno.database.leaks.closing import close_in_time, terminate, threads_of
from pytest_uno.database.sandbox.facade import SandboxConnection


class Driver:
    """A driver of which SQLAlchemy says that it cannot be terminated, as an old aiosqlite."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.is_closed = False
        self._hangs = hangs

    async def close(self) -> None:
        if self._hangs:
            await asyncio.Event().wait()
        self.is_closed = True


class Adapter:
    def __init__(self, driver: object) -> None:
        self.driver_connection = driver


class OldAdapter(Adapter):
    def terminate(self) -> None:
        raise NotImplementedError


class Libpq:
    is_finished = False

    def finish(self) -> None:
        self.is_finished = True


class Psycopg:
    def __init__(self) -> None:
        self.pgconn = Libpq()


@pytest.mark.parametrize("kind", [Adapter, OldAdapter])
def test_a_driver_that_cannot_be_terminated_is_closed_in_the_loop(kind: type[Adapter]) -> None:
    driver = Driver()
    assert not terminate(kind(driver))
    with asyncio.Runner() as runner:
        close_in_time(kind(driver), runner.get_loop())
    assert driver.is_closed


def test_it_does_not_wait_for_ever() -> None:
    driver = Driver(hangs=True)
    with asyncio.Runner() as runner:
        close_in_time(Adapter(driver), runner.get_loop())
        assert not asyncio.all_tasks(runner.get_loop())
    assert not driver.is_closed


def test_a_closed_loop_is_left_alone() -> None:
    driver, loop = Driver(), asyncio.new_event_loop()
    loop.close()
    close_in_time(Adapter(driver), loop)
    assert driver.is_closed


def test_psycopg() -> None:
    driver = Psycopg()
    assert terminate(Adapter(driver))
    assert driver.pgconn.is_finished


def test_the_connection_of_a_sandbox_is_left_to_it() -> None:
    connection = SandboxConnection.__new__(SandboxConnection)
    assert terminate(connection)
    assert threads_of(connection) == []


@pytest.mark.parametrize("connection", [None, Adapter(Driver())])
def test_no_thread(connection: Any) -> None:
    assert threads_of(connection) == []
