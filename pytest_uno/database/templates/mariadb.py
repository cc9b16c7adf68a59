"""Worker databases of MariaDB and MySQL, on the server of the engine's URL: experimental, for mode `rollback` only.

The server cannot copy a database, so there is no template: each process of the run builds its worker database once, and
again after an escape.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool
from sqlalchemy.util import greenlet_spawn

from pytest_uno.core.errors import SandboxError, compose_message
from pytest_uno.database.own_work import own_work
from pytest_uno.database.settings import DatabaseSettings
from pytest_uno.database.sqlalchemy_internals import creator_of, dialect_of
from pytest_uno.database.templates.redirection import ConnectTarget, leading_to
from pytest_uno.database.templates.routing import dispose_pool
from pytest_uno.database.templates.template import Template

__all__ = ["MariaDBTemplate"]

_LONGEST = 64
"""Characters of a name."""

_NO_DATABASE = ConnectTarget("")


class MariaDBTemplate(Template):
    """A worker database that is built, not copied."""

    def __init__(self, engines: Sequence[AsyncEngine], settings: DatabaseSettings) -> None:
        super().__init__(engines, settings)
        tail = f"_uno_{settings.run_id}_{settings.worker}"
        self._name = f"{(self.engines[0].url.database or 'test')[: _LONGEST - len(tail)]}{tail}"
        self._has_database = False

    async def make_copy(self) -> ConnectTarget:
        """Refuse: the server cannot copy a database.

        Raises:
            SandboxError: always.
        """
        raise SandboxError(
            compose_message(
                "there is no mode snapshot for MariaDB and MySQL",
                cause="their servers cannot copy a database",
                fix="use mode rollback, uno_async(db='rollback'), or SQLite or PostgreSQL for this test",
                anchor="database-kind",
            )
        )

    async def close(self) -> None:
        """Drop the worker database while connections are still led away from that of the URL; see `Template.close`."""
        await self._drop_all()
        await super().close()

    async def _make_empty(self) -> ConnectTarget:
        quoted = self._quoted()
        await self._execute(f"DROP DATABASE IF EXISTS {quoted}", f"CREATE DATABASE {quoted}")
        self._has_database = True
        return self._target()

    async def _seal(self) -> None:
        """Nothing is to be done: what was built is the worker database."""

    async def _make_worker(self) -> ConnectTarget:
        return self._target()

    async def _drop_worker(self) -> None:
        await self._drop_all()
        self._is_built = False  # the next connection builds it again

    async def _make_copy(self) -> ConnectTarget:
        raise AssertionError("make_copy refuses")  # pragma: no cover

    async def _discard_copy(self, copy: ConnectTarget) -> None:
        raise AssertionError("there is none")  # pragma: no cover

    async def _drop_all(self) -> None:
        if self._has_database:
            await self._execute(f"DROP DATABASE IF EXISTS {self._quoted()}")
            self._has_database = False

    def _target(self) -> ConnectTarget:
        return ConnectTarget(self._name)

    def _quoted(self) -> str:
        return "`" + self._name.replace("`", "``") + "`"

    async def _execute(self, *statements: str) -> None:
        """Run statements on a connection of their own, to no database."""
        base = self._bases[0] if self._bases else self.engines[0].sync_engine.pool
        pool = NullPool(creator_of(base), dialect=dialect_of(base))
        try:
            with leading_to(_NO_DATABASE), own_work():
                made = await greenlet_spawn(pool.connect)
                try:
                    driver = made.driver_connection
                    assert driver is not None
                    async with driver.cursor() as cursor:
                        for statement in statements:
                            await cursor.execute(statement)
                finally:
                    await greenlet_spawn(made.close)
        finally:
            await dispose_pool(pool)
