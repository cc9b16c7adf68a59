"""The place in the user's own code to which a service is sent for a leak: it can show only files of the repository."""

from __future__ import annotations

from pathlib import PureWindowsPath
from typing import NamedTuple

from pytest_uno.leaks.model import Finding, Frame
from pytest_uno.reports.groups import Group

__all__ = ["Place", "calling_frame", "own_place"]


class Place(NamedTuple):
    """A line of the user's code.

    Attributes:
        file: posix path, relative to the root.
        line: the line, from 1.
    """

    file: str
    line: int


def calling_frame(finding: Finding) -> Frame:
    """Return the line of the user's code that created a thing: the one to change.

    Args:
        finding: what leaked.

    Returns:
        The creation itself, or the line that called the library which did it; the library's where nothing
        else is known.
    """
    return next((frame for frame in finding.created if frame.in_app), finding.created[0])


def own_place(group: Group) -> Place:
    """Return the line of the user's code that says most of a leak.

    Args:
        group: the leak.

    Returns:
        The line that created it, else the one where it waits, else its owner's, else the top of the file of
        the first test that showed it.
    """
    finding = group.finding
    for frame in (*finding.created, *finding.waiting_at):
        if frame.in_app:
            return Place(frame.file, frame.line)
    owner = finding.owner
    if owner.file and _is_inside(owner.file):
        return Place(owner.file, owner.line or 1)
    return Place(group.tests[0].partition("::")[0], 1)


def _is_inside(file: str) -> bool:
    # PureWindowsPath sees the root of a posix path as well.
    return not PureWindowsPath(file).anchor and not file.startswith("..")
