"""What the project has configured for its databases, as plain data."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

__all__ = ["DatabaseSettings", "Mode", "new_run_id"]

Mode: TypeAlias = Literal["rollback", "snapshot", "off"]


def new_run_id() -> str:
    """Return a name for one run, six characters that every database accepts in a name."""
    import secrets  # the options of every run are read through this module

    return secrets.token_hex(3)


class DatabaseSettings(NamedTuple):
    """The settings of one process of a run.

    Attributes:
        engine_specs: where the application's engines are, as `module:attribute`; all of them lead to one database.
            Empty: an embedded SQLite engine is used.
        metadata: where the `MetaData` is whose tables are made; None if the schema comes from elsewhere.
        schema: `alembic:PATH` of an `alembic.ini`, or `module:function` of a function that makes the schema.
        seed: `module:function` of a function that fills the template.
        mode: the mode of the tests that name none.
        wait: real seconds that one task waits for another's transaction.
        reset_sequences: whether each test finds the sequences at their start.
        worker: the process's name among those of the run: pytest-xdist's, or `main`.
        run_id: what tells this run's databases from those of another: a few letters and digits.
        root: the folder that `alembic:PATH` is relative to.
    """

    engine_specs: tuple[str, ...] = ()
    metadata: str | None = None
    schema: str | None = None
    seed: str | None = None
    mode: Mode = "rollback"
    wait: float = 2.0
    reset_sequences: bool = False
    worker: str = "main"
    run_id: str = "run"
    root: str = "."
