"""Uno tests in the database sandbox: the application's own engine, and nothing that stays."""

from __future__ import annotations

from typing import Any

import pytest

APP = """
from sqlalchemy import ForeignKey, select, text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

engine = create_async_engine("sqlite+aiosqlite:///production.db")
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase): ...


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    orders: Mapped[list["Order"]] = relationship()


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    made_at: Mapped[str] = mapped_column(server_default=text("CURRENT_TIMESTAMP"))


async def seed(session):
    for name in ("ada", "grace"):
        session.add(Customer(name=name, orders=[Order()]))


async def add(name):
    async with sessions() as session:
        session.add(Customer(name=name))
        await session.commit()


async def names():
    async with sessions() as session:
        return list(await session.scalars(select(Customer.name).order_by(Customer.name)))
"""

INI = """
pythonpath = .
uno_db_engine = app:engine
uno_db_metadata = app:Base.metadata
uno_db_seed = app:seed
"""


@pytest.fixture
def shop(project: Any) -> Any:
    project.ini(INI)
    project.file("app.py", APP)
    return project


def test_every_commit_is_undone(shop: Any) -> None:
    result = shop.run_apart(
        """
    import app, os

    @pytest.mark.uno_async
    @pytest.mark.parametrize("number", range(3))
    async def test_adds(number):
        assert await app.names() == ["ada", "grace"]
        await app.add("linus")
        assert await app.names() == ["ada", "grace", "linus"]

    @pytest.mark.uno_async
    async def test_sees_nothing_of_it(uno_db):
        assert await app.names() == ["ada", "grace"]
        assert uno_db.mode == "rollback"
        assert uno_db.engine is app.engine
        assert uno_db.commits == ()

    def test_the_production_database_was_never_opened():
        assert not os.path.exists("production.db")
    """
    )
    assert shop.outcomes(result) == {"passed": 5}


@pytest.mark.parametrize("mode", ["rollback", "snapshot"])
def test_modes_and_workers(shop: Any, mode: str) -> None:
    pytest.importorskip("xdist")
    result = shop.run_apart(
        """
    import app

    @pytest.mark.uno_async
    @pytest.mark.parametrize("number", range(8))
    async def test_adds(number, uno_db):
        await app.add("linus")
        assert await app.names() == ["ada", "grace", "linus"]
        (commit,) = uno_db.commits
        assert (commit.writes, commit.tables) == (1, ("customers",))
        assert commit.site.code.startswith("await session.commit()") or "session" in commit.site.code
        assert any("INSERT" in statement.sql for statement in commit.statements)
    """,
        f"--uno-db-mode={mode}",
        "-n2",
    )
    assert shop.outcomes(result) == {"passed": 8}


def test_the_marker_chooses_the_mode(shop: Any) -> None:
    result = shop.run(
        """
    import app

    @pytest.mark.uno_async(db="snapshot")
    async def test_snapshot(uno_db):
        assert uno_db.mode == "snapshot"
        await app.add("linus")

    @pytest.mark.uno_async
    async def test_rollback(uno_db):
        assert uno_db.mode == "rollback"
        assert await app.names() == ["ada", "grace"]

    @pytest.mark.uno_async(db=False)
    async def test_off(request):
        with pytest.raises(Exception, match="outside of a test"):
            await app.names()

    @pytest.mark.uno_async(db=False)
    async def test_off_with_the_fixture(uno_db): ...
    """
    )
    assert shop.outcomes(result) == {"passed": 3, "errors": 1}
    result.stdout.fnmatch_lines(["*the fixture uno_db needs a database*"])


def test_the_fixtures_without_any_option(project: Any) -> None:
    result = project.run(
        """
    from sqlalchemy import text
    from pytest_uno import transaction_manager

    @pytest.mark.uno_async
    @pytest.mark.parametrize("number", range(2))
    async def test_session(uno_session, uno_db, uno_session_factory, number):
        await uno_session.execute(text("CREATE TABLE orders (item TEXT)"))
        await uno_session.execute(text("INSERT INTO orders VALUES ('tea')"))
        await uno_session.commit()
        async with uno_session_factory() as session:
            assert await session.scalar(text("SELECT item FROM orders")) == "tea"
        async with transaction_manager() as session:
            await session.execute(text("INSERT INTO orders VALUES ('milk')"))
        assert [commit.tables for commit in uno_db.commits][-1] == ("orders",)

    @pytest.mark.uno_async
    async def test_a_session_that_stays_open_is_closed_with_the_test(uno_session):
        await uno_session.execute(text("SELECT 1"))

    def test_sync(uno_db): ...
    """
    )
    assert project.outcomes(result) == {"passed": 3, "errors": 1}
    result.stdout.fnmatch_lines(["*the fixture uno_db needs a uno_async test*"])


def test_too_many_queries_are_shown_in_groups(shop: Any) -> None:
    result = shop.run(
        """
    import app
    from sqlalchemy import select

    async def list_orders():
        async with app.sessions() as session:
            for customer in await session.scalars(select(app.Customer)):
                await session.refresh(customer, ["orders"])  # one by one

    @pytest.mark.uno_async(max_queries=2)
    async def test_marker():
        await list_orders()

    @pytest.mark.uno_async
    async def test_block(uno_db):
        with uno_db.max_queries(2):
            await list_orders()

    @pytest.mark.uno_async(max_queries=5)
    async def test_enough(uno_db):
        with uno_db.max_queries(5):
            await list_orders()
    """
    )
    assert shop.outcomes(result) == {"passed": 1, "failed": 2}
    result.stdout.fnmatch_lines(
        [
            "*test_block*",
            "*the block sent 5 statements, and may send 2*",
            "*2 x SELECT orders.id*",
            "*at test_it.py:10 in*",
        ]
    )
    result.stdout.fnmatch_lines(["*the test sent 5 statements, and may send 2*"])


def test_what_makes_a_transaction_read_only_is_no_query(shop: Any) -> None:
    result = shop.run(
        """
    import app
    from sqlalchemy import text
    from pytest_uno import readonly_transaction

    @pytest.mark.uno_async(max_queries=1)
    async def test_reads(uno_session):
        async with readonly_transaction(uno_session):
            await uno_session.execute(text("SELECT 1"))
    """
    )
    assert shop.outcomes(result) == {"passed": 1}


def test_an_escape_fails_its_test_and_no_other(shop: Any) -> None:
    result = shop.run(
        """
    import app

    @pytest.mark.uno_async
    async def test_escapes():
        async with app.engine.connect() as connection:
            raw = await connection.get_raw_connection()
            await raw.driver_connection.execute("INSERT INTO customers (name) VALUES ('linus')")
            await raw.driver_connection.commit()

    @pytest.mark.uno_async
    async def test_next():
        assert await app.names() == ["ada", "grace"]
    """
    )
    assert shop.outcomes(result) == {"passed": 1, "failed": 1}
    result.stdout.fnmatch_lines(["*SandboxEscapeError*"])


@pytest.mark.parametrize("url", ["sqlite+aiosqlite:///production.db", "sqlite+aiosqlite://"])
@pytest.mark.parametrize("mode", ["rollback", "snapshot"])
def test_sqlite_follows_the_wall_clock_of_the_test(shop: Any, url: str, mode: str) -> None:
    shop.file("app.py", APP.replace("sqlite+aiosqlite:///production.db", url))
    result = shop.run(
        """
    import app
    from sqlalchemy import text

    @pytest.mark.uno_async(start="2030-01-01T12:00Z")
    async def test_dates(uno_session, uno_clock):
        one = await uno_session.scalar(text("INSERT INTO orders (customer_id) VALUES (1) RETURNING made_at"))
        assert one == "2030-01-01 12:00:00"
        await asyncio.sleep(3600)
        rows = await uno_session.execute(text(
            "SELECT datetime('now'), date(), time('now', '-1 hour'), strftime('%H:%M', 'now'), strftime('%Y'), "
            "unixepoch('now'), current_date, current_time, datetime('2001-01-01', '+1 day'), julianday('now')"
        ))
        assert list(rows.one())[:-1] == [
            "2030-01-01 13:00:00", "2030-01-01", "12:00:00", "13:00", "2030", 1893502800, "2030-01-01", "13:00:00",
            "2001-01-02 00:00:00",
        ]

    @pytest.mark.uno_async
    async def test_real_again(uno_session):
        from datetime import datetime, UTC
        now = await uno_session.scalar(text("SELECT current_timestamp"))
        assert abs((datetime.now(UTC) - datetime.fromisoformat(now + "+00:00")).total_seconds()) < 3600
    """,
        f"--uno-db-mode={mode}",
    )
    assert shop.outcomes(result) == {"passed": 2}


@pytest.mark.parametrize(
    ("ini", "message"),
    [
        ("uno_db_engine = app", "*uno_db_engine: 'app' is not of the form module:attribute*"),
        ("uno_db_mode = rolback", "*did you mean 'rollback'?*"),
        ("uno_db_wait = soon", "*uno_db_wait: 'soon' is not a number of seconds*"),
        ("uno_db_engin = app:engine", "*did you mean 'uno_db_engine'?*"),
        ("uno_db_metadata = a:b\nuno_db_schema = c:d", "*both are set*"),
    ],
)
def test_bad_options_stop_the_run(project: Any, ini: str, message: str) -> None:
    project.ini(ini)
    result = project.run("def test_it(): ...")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("db='snapshoot'", "*did you mean 'snapshot'?*"),
        ("db_conflict='nest'", "*use 'error' or 'join'*"),
        ("db_wait=-1", "*give seconds as a number of at least 0*"),
        ("max_queries='3'", "*give a number of statements, at least 0*"),
        ("max_querys=3", "*did you mean 'max_queries'?*"),
    ],
)
def test_bad_marker_arguments_are_errors(project: Any, arguments: str, message: str) -> None:
    result = project.run(f"@pytest.mark.uno_async({arguments})\nasync def test_it(): ...")
    assert project.outcomes(result).get("passed") is None
    result.stdout.fnmatch_lines([message])


def test_a_wrong_engine_fails_each_test(project: Any) -> None:
    project.ini("pythonpath = .\nuno_db_engine = nowhere:engine")
    result = project.run("@pytest.mark.uno_async\nasync def test_it(): ...")
    assert project.outcomes(result) == {"errors": 1}
    result.stdout.fnmatch_lines(["*there is no module 'nowhere'*"])


def test_a_limit_without_a_database_is_refused(project: Any) -> None:
    result = project.run("@pytest.mark.uno_async(max_queries=3)\nasync def test_it(): ...")
    assert project.outcomes(result) == {"errors": 1}
    result.stdout.fnmatch_lines(["*counts the statements of a database, and the test has none*"])


def test_a_test_that_touches_no_database_opens_no_connection(shop: Any) -> None:
    result = shop.run(
        """
    import app
    from sqlalchemy import event

    opened = []
    event.listen(app.engine.sync_engine, "do_connect", lambda *_: opened.append(1))

    @pytest.mark.uno_async
    async def test_one(uno_db): ...

    @pytest.mark.uno_async
    async def test_two():
        assert opened == []
    """
    )
    assert shop.outcomes(result) == {"passed": 2}


@pytest.mark.parametrize(
    "test",
    [
        "@pytest.mark.uno_async(db=False)\n    async def test_first():\n        await app.names()",
        "@pytest.mark.uno_async\n    async def test_first(wide): ...",
    ],
    ids=["a-test-without-database", "a-wide-fixture"],
)
def test_the_first_test_does_not_reach_the_production_database(shop: Any, test: str) -> None:
    result = shop.run(
        f"""
    import app

    @pytest.fixture(scope="module")
    async def wide():
        await app.names()

    {test}
    """
    )
    assert "passed" not in shop.outcomes(result)
    result.stdout.fnmatch_lines(["*the database is used outside of a test*"])
    assert not (shop.pytester.path / "production.db").exists()
