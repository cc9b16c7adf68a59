"""Transactions on sessions that are not SQLAlchemy's asynchronous ones."""

from __future__ import annotations

import asyncio

import pytest

from pytest_uno.core.transactions import transaction, transaction_manager

pytestmark = pytest.mark.asyncio


class Foreign:
    """A session of another library."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.commit_error: BaseException | None = None
        self.rollback_error: BaseException | None = None
        self.started = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def commit(self) -> None:
        self.started.set()
        await self.gate.wait()
        if self.commit_error is not None:
            raise self.commit_error
        self.calls.append("commit")

    async def rollback(self) -> None:
        self.started.set()
        await self.gate.wait()
        self.calls.append("rollback")
        if self.rollback_error is not None:
            raise self.rollback_error


@pytest.mark.parametrize("fails", [False, True])
async def test_ending_is_over_before_a_cancellation_is_delivered(fails: bool) -> None:
    session = Foreign()
    session.gate.clear()

    async def work() -> None:
        async with transaction(session):
            if fails:
                raise LookupError

    task = asyncio.create_task(work())
    await session.started.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
    session.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert session.calls == ["rollback" if fails else "commit"]


async def test_foreign_sessions() -> None:
    session = Foreign()
    async with transaction(session):
        pass
    session.commit_error = LookupError()
    with pytest.raises(LookupError):
        async with transaction(session):
            pass
    session.rollback_error = ValueError("no connection")
    with pytest.raises(LookupError) as caught:
        async with transaction(session):
            pass
    assert "ValueError('no connection')" in caught.value.__notes__[0]
    with pytest.raises(KeyError) as caught_body:
        async with transaction(session):
            raise KeyError
    assert "ValueError('no connection')" in caught_body.value.__notes__[0]
    assert session.calls == ["commit", "rollback", "rollback", "rollback"]


async def test_synchronous_sessions() -> None:
    class Synchronous:
        def __init__(self) -> None:
            self.calls: list[str] = []

        def commit(self) -> None:
            self.calls.append("commit")

        def rollback(self) -> None:
            self.calls.append("rollback")

        def close(self) -> None:
            self.calls.append("close")

    session = Synchronous()
    async with transaction_manager(lambda: session):
        pass
    with pytest.raises(LookupError):
        async with transaction_manager(lambda: session):
            raise LookupError
    async with transaction_manager(lambda: session, read_only=True):
        pass
    assert session.calls == ["commit", "close", "rollback", "close", "rollback", "close"]


async def test_a_session_that_cannot_begin_or_close() -> None:
    class Broken(Foreign):
        async def close(self) -> None:
            raise ValueError("close")

    with pytest.raises(ValueError, match="close"):
        async with transaction_manager(Broken):
            pass
    with pytest.raises(LookupError) as caught:
        async with transaction_manager(Broken):
            raise LookupError
    assert "ValueError('close')" in caught.value.__notes__[0]
    session = Broken()
    session.commit_error = LookupError()
    with pytest.raises(LookupError) as caught:
        async with transaction_manager(lambda: session):
            pass
    async with transaction_manager(Foreign):  # needs no closing
        pass
