"""Several processes of one run, each with a database of its own."""

from __future__ import annotations

import pytest

from tests.database.databases import Database

_APP = """
from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine({url!r})
sessions = async_sessionmaker(engine)


class Base(DeclarativeBase): ...


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


async def seed(session):
    session.add(Customer(name="ada"))
"""

_TESTS = """
import os
import time
import pytest
from pathlib import Path
from sqlalchemy import select
from worker_app import Customer, sessions

_PROCESSES = Path(__file__).parent / "processes"


@pytest.mark.uno_async(db="rollback")
@pytest.mark.parametrize("number", range(4))
async def test_rollback(number, worker_id):
    await use_the_same_key(worker_id)


@pytest.mark.uno_async(db="snapshot")
@pytest.mark.parametrize("number", range(4))
async def test_snapshot(number, worker_id):
    await use_the_same_key(worker_id)


async def use_the_same_key(worker_id):
    _PROCESSES.mkdir(exist_ok=True)
    (_PROCESSES / worker_id).touch()
    limit = time.monotonic() + 30
    while len(list(_PROCESSES.iterdir())) < 2 and time.monotonic() < limit:
        time.sleep(0.01)  # until the other process is at work, too
    async with sessions() as session:
        session.add(Customer(name="linus"))
        await session.commit()
        assert list(await session.scalars(select(Customer.name).order_by(Customer.id))) == ["ada", "linus"]
    assert len(list(_PROCESSES.iterdir())) == 2
"""


@pytest.mark.slow
def test_processes_use_the_same_keys_at_once(database: Database, pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    pytester.makeini(
        "[pytest]\npythonpath = .\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"
        "uno_db_engine = worker_app:engine\nuno_db_metadata = worker_app:Base.metadata\n"
        "uno_db_seed = worker_app:seed\n"
    )
    pytester.makepyfile(worker_app=_APP.format(url=database.absent_url), test_it=_TESTS)
    result = pytester.runpytest_subprocess("-p", "no:randomly", "-n2", timeout=180)
    result.assert_outcomes(passed=8)
