"""The errors of exploration, and their messages."""

from __future__ import annotations

from pytest_uno.core.errors import BadTokenError, ExplorationError, StepLimitError, compose_message

__all__ = [
    "BadTokenError",
    "ExplorationError",
    "StepLimitError",
    "running_loop_message",
    "step_limit_message",
]


def step_limit_message(limit: int, picture: str) -> str:
    """Compose the message of a schedule that does not end.

    Args:
        limit: rounds of the loop.
        picture: the tasks, and who waits for whom.
    """
    return compose_message(
        f"no end after {limit:,} rounds of the loop\n\nthe tasks, and who waits for whom:\n{picture}\n",
        cause="tasks wake one another for ever, or poll for something that does not happen in this schedule",
        fix="look above for the tasks that go on, and for what would end them",
        anchor="explore-steps",
    )


def running_loop_message() -> str:
    """Compose the message of an `explore` that is called where a loop runs."""
    return compose_message(
        "explore() was called while an event loop runs in this thread: it runs loops of its own",
        fix="in an async test use the fixture: `report = await uno_explore(scenario)`",
        anchor="explore-running-loop",
    )
