"""The order that a plain test sees."""

from __future__ import annotations

from pytest_uno.explore.strategies.base import Strategy

__all__ = ["Stock"]


class Stock(Strategy):
    """Stock order: everything comes as soon as it can, in the order in which it is due."""

    token = "stock"

    def lets_pass(self, count: int) -> bool:
        """Say that the next decisions all take the first option: always."""
        return True
