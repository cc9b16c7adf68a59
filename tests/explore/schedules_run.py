"""How many schedules a test of the explorer runs."""

from __future__ import annotations

from hypothesis import settings

__all__ = ["LONG", "SEEDS"]

_IS_NIGHTLY = settings().max_examples >= 2_000

LONG = 2_000 if _IS_NIGHTLY else 100
"""Schedules in which a right program must pass: 2,000 in the profile `nightly`."""

SEEDS = tuple(range(20)) if _IS_NIGHTLY else (0, 7)
"""Seeds with which a bug must be found."""
