"""Why virtual time may not move: the plain data that every source of outside work reports."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Reason"]


class Reason(NamedTuple):
    """One source outside the loop that may be at work.

    Attributes:
        since: the real moment at which it began to count.
        freezes_for: real seconds from then on for which time stands still.
        flows: afterwards time flows at real speed; else the source is ignored.
        label: what it is, for `held_by` and messages.
    """

    since: float
    freezes_for: float
    flows: bool
    label: str
