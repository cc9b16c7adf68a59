"""Who outside the loop finishes a future, and in which order what it sends must arrive.

A provider is asked once for each future that work outside the loop will finish, in the moment in which it is made: that
is the order of submission. Known are the executors (`executors`) and the drivers that keep a thread for each connection
and answer through `call_soon_threadsafe` (`driver_threads`). Everything else comes in the order in which it arrives.
"""

from __future__ import annotations

from types import FrameType
from typing import NamedTuple

from pytest_uno.explore.providers.driver_threads import connection_of, ends_transaction
from pytest_uno.explore.providers.executors import executor_of

__all__ = ["Submission", "submission_of"]


class Submission(NamedTuple):
    """A job that was just handed over.

    Attributes:
        source: what answers in order, such as a connection; None where jobs overtake one another.
        what: what does it, in words.
        frees: jobs that take long may be able to go on when it is over, as at the end of a transaction.
    """

    source: object
    what: str
    frees: bool = False


def submission_of(maker: FrameType) -> Submission | None:
    """Say what job a future stands for, from the frame that makes it.

    Args:
        maker: the frame that calls `create_future`.

    Returns:
        The job; None when no thread that is known will finish the future.
    """
    found = executor_of(maker)
    if found is not None:
        return Submission(found[0], "thread")
    connection = connection_of(maker)
    return None if connection is None else Submission(connection, "database thread", ends_transaction(maker))
