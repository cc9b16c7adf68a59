"""What the sandbox refuses, and what it warns of: things that one connection in one transaction cannot show."""

from __future__ import annotations

import warnings

from pytest_uno.core.errors import SandboxError, SandboxWarning, compose_message
from pytest_uno.database.records import shorten

__all__ = ["ddl_error", "late_error", "loop_error", "two_phase_error", "warn_of_limit"]

_SNAPSHOT = "give the test a database of its own: uno_async(db='snapshot')"


def two_phase_error(text: str) -> SandboxError:
    """Return the error for a transaction in two phases.

    Args:
        text: the statement, or the name of the method.
    """
    return SandboxError(
        compose_message(
            f"a transaction in two phases cannot be undone by the sandbox: {shorten(text)}",
            fix=_SNAPSHOT,
            anchor="sandbox-limits",
        )
    )


def warn_of_limit(what: str) -> None:
    """Warn of something that one connection in one transaction cannot show.

    Args:
        what: what it is.
    """
    warnings.warn(compose_message(what, fix=_SNAPSHOT, anchor="sandbox-limits"), SandboxWarning, stacklevel=2)


def ddl_error(text: str) -> SandboxError:
    """Return the error for DDL where that commits by itself.

    Args:
        text: the statement.
    """
    return SandboxError(
        compose_message(
            f"this database commits by itself with DDL, so the sandbox could not undo it: {shorten(text)}",
            fix=f"make the schema before the tests (uno_db_schema), or {_SNAPSHOT}",
            anchor="sandbox-ddl",
        )
    )


def late_error(text: str) -> SandboxError:
    """Return the error for a use after the test.

    Args:
        text: what was tried.
    """
    return SandboxError(
        compose_message(
            f"the database is used after the test had ended: {shorten(text)}",
            cause="a background task or a session has outlived the test",
            fix="await or cancel what the test has started, and close its sessions",
            anchor="sandbox-late",
        )
    )


def loop_error() -> SandboxError:
    """Return the error for a use from another event loop than the test's."""
    return SandboxError(
        compose_message(
            "the test's database connection belongs to another event loop than the one that wants to use it",
            cause="starlette's TestClient, or asyncio.run() in a thread, runs the application on a loop of its own",
            fix="call the application on the test's loop: httpx.AsyncClient(transport=httpx.ASGITransport(app))",
            anchor="sandbox-loop",
        )
    )
