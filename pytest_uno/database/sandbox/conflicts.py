"""The errors for two transactions that want the one connection: who holds it, and who wants it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pytest_uno.core.errors import SandboxConflict, compose_message
from pytest_uno.database.records import shorten, show_place

if TYPE_CHECKING:
    from pytest_uno.database.sandbox.checkout import Checkout
    from pytest_uno.database.user_frames import UserFrames

__all__ = ["interleaved_error", "same_task_error", "timeout_error", "two_tasks_error"]

_SNAPSHOT = "give the test a database of its own: uno_async(db='snapshot')"


def _describe(checkout: Checkout, frames: UserFrames) -> str:
    text = f"connection #{checkout.number} opened at {show_place(frames.resolve(checkout.site))}"
    if checkout.task_name:
        text += f", task {checkout.task_name!r}"
    if checkout.writes:
        tables = f" to {', '.join(checkout.tables)}" if checkout.tables else ""
        text += f", {checkout.writes} uncommitted write{'' if checkout.writes == 1 else 's'}{tables}"
    if checkout.last_sql:
        text += (
            f",\n    last SQL: {shorten(checkout.last_sql)}"
            f"\n    issued at {show_place(frames.resolve(checkout.last_site))}"
        )
    return text


def _name(task: asyncio.Task[Any] | None) -> str:
    return repr(task.get_name()) if task is not None else "outside of any task"


def same_task_error(second: Checkout, holder: Checkout, frames: UserFrames) -> SandboxConflict:
    """Return the error for a second connection in the task that holds the first."""
    return SandboxConflict(
        compose_message(
            "a second database connection is used while another one of the same task has uncommitted writes"
            f"\n  holder: {_describe(holder, frames)}\n  second: {_describe(second, frames)}",
            cause="with separate connections the second one would not see those writes, or would wait for them for "
            "ever",
            fix="commit first or use one session for both; to let the second one see them, "
            f"uno_async(db_conflict='join'); or {_SNAPSHOT}",
            anchor="sandbox-conflict",
        )
    )


def interleaved_error(outer: Checkout, inner: Checkout, frames: UserFrames) -> SandboxConflict:
    """Return the error for a connection that is used while another one is nested in it."""
    return SandboxConflict(
        compose_message(
            "a connection is used while the transaction nested in it by db_conflict='join' has uncommitted writes"
            f"\n  outer: {_describe(outer, frames)}\n  nested: {_describe(inner, frames)}",
            fix=f"commit or roll back the nested one first, or {_SNAPSHOT}",
            anchor="sandbox-conflict",
        )
    )


def two_tasks_error(
    checkout: Checkout, task: asyncio.Task[Any] | None, frames: UserFrames
) -> SandboxConflict:
    """Return the error for one connection that two tasks use at the same time."""
    return SandboxConflict(
        compose_message(
            f"one session or connection is used by two tasks at once: by {checkout.task_name!r}, whose call is not "
            f"finished, and by {_name(task)}\n  it is {_describe(checkout, frames)}",
            cause="a session is shared by the tasks of a group or of gather(), which SQLAlchemy does not support",
            fix="give each task a session of its own",
            anchor="sandbox-two-tasks",
        )
    )


def timeout_error(
    checkout: Checkout,
    holder: Checkout | None,
    task: asyncio.Task[Any] | None,
    wait: float,
    frames: UserFrames,
) -> SandboxConflict:
    """Return the error for a wait that took too long."""
    held_by = "nobody" if holder is None else _describe(holder, frames)
    return SandboxConflict(
        compose_message(
            f"task {_name(task)} waited {wait:g} s of real time for the test's database connection"
            f"\n  holder: {held_by}\n  waiter: {_describe(checkout, frames)}",
            cause="the holder waits for this very task, or keeps its transaction open for long",
            fix="let the holder commit, roll back or close before others are awaited; if it only needs longer, "
            f"uno_async(db_wait=...); or {_SNAPSHOT}",
            anchor="sandbox-wait",
        )
    )
