"""Templates of PostgreSQL databases: `CREATE DATABASE ... TEMPLATE`, on the server of the engine's URL.

The database of the URL itself is never opened, and need not exist. The template carries a comment, and the process
that has made it holds an advisory lock: where the comment is there and the lock is free, the process was killed, and
the next run drops what it has left.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from pytest_uno.database.settings import DatabaseSettings
from pytest_uno.database.templates.administrator import Administrator
from pytest_uno.database.templates.clones import Clones, quoted
from pytest_uno.database.templates.redirection import ConnectTarget
from pytest_uno.database.templates.template import Template

__all__ = ["PostgreSQLTemplate", "stem_of"]

_LONGEST = 63
"""Bytes of a name; PostgreSQL cuts off the rest without a word."""

_ROOM = len("_template")
"""Bytes for what follows the stem."""

_SUFFIX = "_template"
_COMMENT = "pytest-uno template"


def stem_of(database: str, run_id: str, worker: str) -> str:
    """Return the name of the worker database, which the names of the others begin with.

    Args:
        database: the name of the application's database.
        run_id: the run.
        worker: the process's name in the run.
    """
    tail = f"_uno_{run_id}_{worker}"
    head = database.encode()[: max(_LONGEST - _ROOM - len(tail.encode()), 1)].decode(errors="ignore")
    return head + tail


class PostgreSQLTemplate(Template):
    """A template that is a database of the server."""

    def __init__(self, engines: Sequence[AsyncEngine], settings: DatabaseSettings) -> None:
        super().__init__(engines, settings)
        url = self.engines[0].url
        self._stem = stem_of(url.database or url.username or "test", settings.run_id, settings.worker)
        self._template = self._stem + _SUFFIX
        self._administrator: Administrator | None = None
        self._clones: Clones | None = None

    async def _make_empty(self) -> ConnectTarget:
        engine = self.engines[0]
        administrator = Administrator(engine, self._bases[0])
        await administrator.start()
        self._administrator = administrator
        clones = self._clones = Clones(administrator, self._template, self._stem)

        async def make() -> None:
            await administrator.execute(f"SELECT pg_advisory_lock({_key(self._stem)})")
            await clones.drop(self._template)
            # Nobody is ever connected to template0; it lacks what somebody has added to template1.
            source = " TEMPLATE template0" if administrator.is_on_template else ""
            await administrator.execute(f"CREATE DATABASE {quoted(self._template)}{source}")
            await administrator.execute(
                f"COMMENT ON DATABASE {quoted(self._template)} IS {_literal(_COMMENT)}"
            )

        async def clean() -> None:
            await _drop_leftovers(administrator, clones, self._template)

        await administrator.run(make)
        administrator.submit(clean)
        return ConnectTarget(self._template)

    async def _seal(self) -> None:
        administrator = self._connected()

        async def seal() -> None:
            await administrator.execute(f"ALTER DATABASE {quoted(self._template)} ALLOW_CONNECTIONS false")
            await administrator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE datname = {_literal(self._template)}"
            )

        await administrator.run(seal)

    async def _make_worker(self) -> ConnectTarget:
        clones = self._made_clones()
        await self._connected().run(lambda: clones.create(self._stem))
        return ConnectTarget(self._stem)

    async def _drop_worker(self) -> None:
        clones = self._made_clones()
        await self._connected().run(lambda: clones.drop(self._stem))

    async def _make_copy(self) -> ConnectTarget:
        return ConnectTarget(await self._made_clones().take())

    async def _discard_copy(self, copy: ConnectTarget) -> None:
        self._made_clones().give_back(copy.database)

    async def _drop_all(self) -> None:
        administrator, clones = self._administrator, self._clones
        self._administrator = self._clones = None
        if administrator is None or clones is None:
            return

        async def drop() -> None:
            await clones.end()
            await clones.drop(self._stem)
            await clones.drop(self._template)  # the last: it is what the others are found by

        try:
            await administrator.run(drop)
        finally:
            await administrator.stop()

    def _connected(self) -> Administrator:
        assert self._administrator is not None, "the template is built"
        return self._administrator

    def _made_clones(self) -> Clones:
        assert self._clones is not None, "the template is built"
        return self._clones


async def _drop_leftovers(administrator: Administrator, clones: Clones, own: str) -> None:
    """Drop the databases of processes that were killed."""
    templates = await administrator.execute(
        "SELECT datname FROM pg_database"
        f" WHERE shobj_description(oid, 'pg_database') = {_literal(_COMMENT)} AND datname <> {_literal(own)}"
    )
    for (template,) in templates:
        stem = template.removesuffix(_SUFFIX)
        ((is_free,),) = await administrator.execute(f"SELECT pg_try_advisory_lock({_key(stem)})")
        if not is_free:
            continue
        found = await administrator.execute(
            f"SELECT datname FROM pg_database WHERE starts_with(datname, {_literal(stem)})"
        )
        for (name,) in found:
            if re.fullmatch(re.escape(stem) + r"(_\d+)?", name):
                await clones.drop(name)
        await clones.drop(template)
        await administrator.execute(f"SELECT pg_advisory_unlock({_key(stem)})")


def _key(stem: str) -> str:
    return f"hashtextextended({_literal('pytest-uno ' + stem)}, 0)"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
