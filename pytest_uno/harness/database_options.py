"""The options of the database sandbox; that it exists costs a run without databases nothing but them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_uno.core.errors import compose_message
from pytest_uno.database.settings import DatabaseSettings

if TYPE_CHECKING:
    from pytest_uno.database.settings import Mode

__all__ = [
    "CONFLICTS",
    "DATABASE_INI_OPTIONS",
    "DATABASE_MODES",
    "add_database_flags",
    "read_database_settings",
]

DATABASE_MODES = ("rollback", "snapshot", "off")
CONFLICTS = ("error", "join")

DATABASE_INI_OPTIONS: tuple[tuple[str, str, str, Any], ...] = (
    ("uno_db_engine", "linelist", "the application's engines, one module:attribute a line", ()),
    ("uno_db_metadata", "string", "module:attribute of the MetaData whose tables tests need", ""),
    ("uno_db_schema", "string", "alembic:alembic.ini, or module:function that makes the tables", ""),
    ("uno_db_seed", "string", "module:function that fills the tables, once", ""),
    ("uno_db_mode", "string", "how tests are kept apart: rollback, snapshot or off", "rollback"),
    ("uno_db_wait", "string", "real seconds that one task waits for the transaction of another", "2"),
    ("uno_db_reset_sequences", "bool", "whether each test finds the sequences at their start", False),
)


def add_database_flags(group: pytest.OptionGroup) -> None:
    """Register the command line flags.

    Args:
        group: where.
    """
    group.addoption(
        "--uno-db-mode",
        default=None,
        metavar="MODE",
        help="how tests are kept apart in the database: rollback, snapshot or off",
    )
    group.addoption(
        "--uno-db-wait",
        default=None,
        metavar="SECONDS",
        help="real seconds that one task of a test waits for the transaction of another",
    )


def read_database_settings(config: pytest.Config, *, mode: str, wait: float) -> DatabaseSettings:
    """Return the settings of this process.

    Args:
        config: the run.
        mode: the checked mode.
        wait: the checked wait.

    Raises:
        pytest.UsageError: an option has a value that it does not take.
    """
    texts = {name: str(config.getini(name)).strip() or None for name in _NAMES}
    if texts["uno_db_metadata"] and texts["uno_db_schema"]:
        raise pytest.UsageError(
            compose_message(
                "ini options uno_db_metadata and uno_db_schema: both are set",
                fix="keep one of them; a function in uno_db_schema may call metadata.create_all(connection) itself",
                anchor="database-schema",
            )
        )
    engines = tuple(line.strip() for line in config.getini("uno_db_engine") if line.strip())
    named = [(name, spec) for name, spec in texts.items() if spec is not None]
    for name, spec in (*named, *(("uno_db_engine", engine) for engine in engines)):
        module, colon, attribute = spec.partition(":")
        if not (module.strip() and colon and attribute.strip()):
            raise pytest.UsageError(
                compose_message(
                    f"ini option {name}: {spec!r} is not of the form module:attribute",
                    fix="name the module and what is in it, as app.db:engine",
                    anchor="bad-option",
                )
            )
    workerinput: dict[str, Any] = getattr(config, "workerinput", {})
    return DatabaseSettings(
        engine_specs=engines,
        metadata=texts["uno_db_metadata"],
        schema=texts["uno_db_schema"],
        seed=texts["uno_db_seed"],
        mode=cast("Mode", mode),
        wait=wait,
        reset_sequences=bool(config.getini("uno_db_reset_sequences")),
        worker=workerinput.get("workerid", "main"),
        run_id=_short(workerinput.get("testrunuid", "")),
        root=str(config.rootpath),
    )


_NAMES = ("uno_db_metadata", "uno_db_schema", "uno_db_seed")


def _short(run: str) -> str:
    """Return a name of the run that each of its workers has, too; empty where there are no workers."""
    return run[:6]
