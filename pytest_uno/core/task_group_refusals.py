"""What a task group says when it takes no task."""

from __future__ import annotations

from pytest_uno.core.errors import compose_message

__all__ = ["compose_refusal"]


def compose_refusal(group: str, *, entered: bool, finished: bool) -> str:
    """Compose the message of a group that takes no task.

    Args:
        group: how the group is called.
        entered: the group's block was entered.
        finished: the group's block was left, or all its tasks have ended while it waited for them.
    """
    if not entered:
        return compose_message(
            f"{group} has not been entered",
            fix="create tasks inside the group's `async with` block",
            anchor="task-group-not-entered",
        )
    if finished:
        return compose_message(
            f"{group} is finished",
            cause="something kept the group and used it after its block ended",
            fix="create the task inside the block, or in a group that lives longer",
            anchor="task-group-finished",
        )
    return compose_message(
        f"{group} is shutting down",
        cause="a task or the body failed, or the group was cancelled",
        fix="do not start work after that, or catch RuntimeError where both may happen at once",
        anchor="task-group-shutting-down",
    )
