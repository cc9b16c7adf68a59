"""Sessions, connections and engines that tests and fixtures leave, in whole runs: with and without a sandbox."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("collected")

APP = """
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine("sqlite+aiosqlite:///production.db")
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase): ...


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
"""

SETTINGS = """
pythonpath = .
uno_db_engine = app:engine
uno_db_metadata = app:Base.metadata
"""

PRELUDE = """
    import gc
    import app
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
    KEPT = []
    SELECT = text("SELECT 1")
    uno = pytest.mark.uno_async
"""

LEAKS = {
    "UNO301": "KEPT.append(app.sessions()); await KEPT[-1].execute(SELECT)",
    "UNO302": "KEPT.append(await app.engine.connect()); await KEPT[-1].execute(SELECT)",
    "UNO303": "KEPT.append(await app.engine.connect())",
}

LOST = {
    "UNO301": "session = app.sessions(); await session.execute(SELECT); del session; gc.collect()",
    "UNO303": "connection = await app.engine.connect(); del connection; gc.collect()",
}


@pytest.fixture(params=["none", "rollback", "snapshot"])
def shop(request: pytest.FixtureRequest, project: Any) -> Any:
    """A project without a sandbox, and one in each kind of it."""
    project.file("app.py", APP)
    project.ini(
        "filterwarnings = error\n"
        + ("pythonpath = .\n" if request.param == "none" else f"{SETTINGS}uno_db_mode = {request.param}\n")
    )
    return project


def test_a_test_that_leaks_fails(shop: Any) -> None:
    tests = "\n".join(
        f"""
    @uno
    async def test_{rule.lower()}{suffix}():
        {act}"""
        for leaks, suffix in ((LEAKS, ""), (LOST, "_lost"))
        for rule, act in leaks.items()
    )
    result = shop.run_apart(
        f"""{PRELUDE}{tests}
    @uno
    async def test_innocent():
        async with app.sessions() as session:
            await session.execute(SELECT)
        KEPT.clear()
        gc.collect()
    """
    )
    assert shop.outcomes(result) == {"failed": 5, "passed": 1}
    for rule in (*LEAKS, *LOST):
        assert shop.lines_with(result, f"{rule} ", f"test_{rule.lower()}")


def test_what_is_closed_is_no_leak(shop: Any) -> None:
    result = shop.run_apart(
        f"""{PRELUDE}
    @uno
    @pytest.mark.parametrize("number", range(2))
    async def test_uses_everything(number):
        async def read():
            async with app.sessions() as session:
                await session.execute(SELECT)
        await asyncio.gather(read(), read())
        async with app.engine.begin() as connection:
            await connection.execute(SELECT)
        session = app.sessions()
        await session.execute(SELECT)
        await session.rollback()
        KEPT.append(session)

    @uno
    async def test_uses_nothing(): pass
    """
    )
    assert shop.outcomes(result) == {"passed": 3}


def test_the_session_of_the_fixture_is_closed(project: Any) -> None:
    project.file("app.py", APP)
    project.ini(SETTINGS)
    result = project.run_apart(
        """
    import app

    @pytest.mark.uno_async
    async def test_leaves_a_transaction(uno_session, uno_session_factory):
        uno_session.add(app.Customer(name="ada"))
        await uno_session.flush()
        async with uno_session_factory() as session:
            pass
    """
    )
    assert project.outcomes(result) == {"passed": 1}


def test_the_embedded_database(project: Any) -> None:
    result = project.run_apart(
        """
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import AsyncSession
    KEPT = []

    @pytest.mark.uno_async
    async def test_innocent(uno_session):
        await uno_session.execute(text("SELECT 1"))

    @pytest.mark.uno_async
    async def test_leaks(uno_db):
        session = AsyncSession(uno_db.engine)
        await session.execute(text("SELECT 1"))
        KEPT.append(session)
    """
    )
    assert project.outcomes(result) == {"passed": 1, "failed": 1}
    result.stdout.fnmatch_lines(["UNO301 *", "*created*test_it.py:* in test_leaks"])


@pytest.mark.parametrize("scope", ["function", "module", "session"])
def test_a_fixture_that_leaks_is_blamed(project: Any, scope: str) -> None:
    project.file("app.py", APP)
    result = project.run_apart(
        f"""{PRELUDE}
    @pytest.fixture(scope="{scope}")
    async def engine(tmp_path_factory):
        folder = tmp_path_factory.mktemp("own")
        yield create_async_engine(f"sqlite+aiosqlite:///{{folder}}/own.db")

    @uno
    async def test_only(engine):
        async with engine.connect() as connection:
            await connection.execute(SELECT)
    """,
        "-o",
        "pythonpath=.",
    )
    assert project.outcomes(result) == {"passed": 1, "errors": 1}
    result.stdout.fnmatch_lines(["UNO304 *", "*in engine", f"*owner*fixture 'engine' ({scope}, *"])


def test_a_leak_that_is_expected(project: Any) -> None:
    project.file("app.py", APP)
    result = project.run_apart(
        f"""{PRELUDE}
    @uno
    async def test_leaks(uno_leaks):
        with uno_leaks.expect("UNO301", match="open transaction"):
            KEPT.append(app.sessions())
            await KEPT[-1].execute(SELECT)
    """,
        "-o",
        "pythonpath=.",
    )
    assert project.outcomes(result) == {"passed": 1}


def test_a_dependency_of_a_web_framework(project: Any) -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("httpx")
    project.file("app.py", APP)
    project.ini(SETTINGS)
    result = project.run_apart(
        f"""{PRELUDE}
    import fastapi
    import httpx

    api = fastapi.FastAPI()

    async def get_session():
        async with app.sessions() as session:
            yield session

    @api.get("/")
    async def read(session=fastapi.Depends(get_session)):
        return await session.scalar(SELECT)

    @uno
    async def test_answers():
        transport = httpx.ASGITransport(api)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            assert (await client.get("/")).json() == 1
    """
    )
    assert project.outcomes(result) == {"passed": 1}
