"""What a strategy is; as it stands, it is stock order."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_uno.explore.operations import Operation

__all__ = ["Strategy"]


class Strategy:
    """Chooses what comes next; as it stands, what asyncio would take.

    One object serves one schedule.

    Attributes:
        token: what replays this schedule, without the classes that may be late.
        just_held: the operations that the last choice has put on hold.
        holds: the decisions, counted from 0, at which it puts something on hold.
    """

    token = ""
    just_held: tuple[Operation, ...] = ()
    holds: tuple[int, ...] = ()

    def choose(self, options: Sequence[Operation]) -> int:
        """Return the index of what comes next.

        Args:
            options: at least two, the choice of the stock order first; `GO` and `deadline` are last.
        """
        return 0

    def lets_pass(self, count: int) -> bool:
        """Say that the next decisions all take the first option; they are then not asked for one by one.

        Args:
            count: how many decisions.
        """
        return False
