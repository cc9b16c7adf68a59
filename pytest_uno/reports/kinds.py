"""What a leak means for the run, which decides how loudly a report speaks of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from pytest_uno.reports.groups import Group

__all__ = ["KINDS", "Kind", "by_kind", "kind_of", "most_important_first"]

Kind = Literal["new", "warned", "baseline", "allowed"]
"""It fails the run; it is a warning; it is in the baseline; somebody has allowed it."""

KINDS: tuple[Kind, ...] = ("new", "warned", "baseline", "allowed")
"""Every kind, in the order in which readers want to see them."""


def kind_of(group: Group) -> Kind:
    """Say what a leak means.

    Args:
        group: the leak.
    """
    if group.status == "allowed" and group.level == "warn":
        return "warned"
    return group.status


def by_kind(groups: Iterable[Group]) -> Mapping[Kind, list[Group]]:
    """Sort leaks out by what they mean.

    Args:
        groups: the leaks.

    Returns:
        A list for every kind, each in the order of `groups`.
    """
    sorted_out: dict[Kind, list[Group]] = {kind: [] for kind in KINDS}
    for group in groups:
        sorted_out[kind_of(group)].append(group)
    return sorted_out


def most_important_first(groups: Iterable[Group]) -> list[Group]:
    """Put what fails the run first, and what is allowed last.

    Args:
        groups: the leaks; those of one kind stay in their order.
    """
    return [group for members in by_kind(groups).values() for group in members]
