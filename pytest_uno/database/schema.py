"""Fill an empty database: the schema, and the rows that every test finds."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from pytest_uno.core.errors import SandboxError, compose_message
from pytest_uno.database.loading import load_function, load_metadata
from pytest_uno.database.settings import DatabaseSettings

if TYPE_CHECKING:
    from pytest_uno.database.templates.redirection import ConnectTarget

__all__ = ["build_schema"]

_ALEMBIC = "alembic:"


async def build_schema(engine: AsyncEngine, target: ConnectTarget, settings: DatabaseSettings) -> None:
    """Make the schema that the settings name, then run the seed.

    Args:
        engine: leads to the empty database.
        target: the empty database.
        settings: the project's settings.

    Raises:
        SandboxError: a setting is wrong, or what it names failed.
    """
    if settings.metadata is not None and settings.schema is not None:
        raise SandboxError(
            compose_message(
                "both uno_db_metadata and uno_db_schema are set",
                fix="keep one of them; a function of uno_db_schema may call metadata.create_all(connection) itself",
                anchor="database-schema",
            )
        )
    if settings.metadata is not None:
        metadata = load_metadata(settings.metadata)
        await _attempt(f"uno_db_metadata = {settings.metadata}", _create_all(engine, metadata.create_all))
    if settings.schema is not None:
        option = f"uno_db_schema = {settings.schema}"
        if settings.schema.startswith(_ALEMBIC):
            from pytest_uno.database.migrations import migrate

            path = settings.schema.removeprefix(_ALEMBIC)
            await _attempt(option, migrate(path, settings.root, engine, target))
        else:
            function = load_function(settings.schema, "uno_db_schema")
            await _attempt(option, _call_with_connection(engine, function))
    if settings.seed is not None:
        seed = load_function(settings.seed, "uno_db_seed")
        await _attempt(f"uno_db_seed = {settings.seed}", _call_with_session(engine, seed))


async def _attempt(option: str, work: Any) -> None:
    try:
        await work
    except SandboxError:
        raise
    except Exception as exc:
        raise SandboxError(
            compose_message(
                f"{option} failed: {type(exc).__name__}: {exc}",
                fix="see the error above, which it raised while the template of the test databases was built",
                anchor="database-schema",
            )
        ) from exc


async def _create_all(engine: AsyncEngine, create_all: Callable[..., None]) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(create_all)


async def _call_with_connection(engine: AsyncEngine, function: Callable[..., Any]) -> None:
    async with engine.begin() as connection:
        if inspect.iscoroutinefunction(function):
            await function(connection)
        else:
            await connection.run_sync(function)


async def _call_with_session(engine: AsyncEngine, seed: Callable[..., Any]) -> None:
    async with AsyncSession(engine) as session:
        made = seed(session)
        if inspect.isawaitable(made):
            await made
        await session.commit()
