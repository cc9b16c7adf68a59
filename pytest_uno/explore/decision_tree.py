"""Which schedules have run, as a tree of their decisions: small programs have so few that all of them can run."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["DecisionTree"]

_NODES = 20_000
"""Decisions that are remembered; a program with more will never be exhausted."""


class _Node:
    __slots__ = ("children", "is_done", "options")

    def __init__(self) -> None:
        self.options = 0
        self.children: dict[int, _Node] = {}
        self.is_done = False


class DecisionTree:
    """The decisions of all schedules of one search."""

    def __init__(self) -> None:
        self._root = _Node()
        self._nodes = 0

    @property
    def is_complete(self) -> bool:
        """Every possible schedule has run."""
        return self._root.is_done

    def add(self, decisions: Sequence[tuple[int, int]]) -> bool:
        """Note a schedule that has run.

        Args:
            decisions: of each, the number of options and the index of the one that was taken.

        Returns:
            Whether it is a new one, as far as that is remembered.
        """
        if self._nodes > _NODES:
            return True
        known = self._nodes
        path = [self._root]
        for options, chosen in decisions:
            node = path[-1]
            # The larger number, where a program is not deterministic: such a one is not complete too early.
            node.options = max(node.options, options)
            child = node.children.get(chosen)
            if child is None:
                child = node.children[chosen] = _Node()
                self._nodes += 1
            path.append(child)
        for node in reversed(path):
            node.is_done = len(node.children) >= node.options and all(
                child.is_done for child in node.children.values()
            )
            if not node.is_done:
                break
        return self._nodes > known

    def find_untried(self) -> dict[int, int]:
        """Return the way to a schedule that has not run: of each decision of it, the index of what to take.

        It leaves what has run as early as it can. Empty when every possible schedule has run.
        """
        way: dict[int, int] = {}
        node = self._root
        while not node.is_done:
            missing = [index for index in range(node.options) if index not in node.children]
            if missing:
                way[len(way)] = missing[0]
                break
            index = min(index for index, child in node.children.items() if not child.is_done)
            way[len(way)] = index
            node = node.children[index]
        return way
