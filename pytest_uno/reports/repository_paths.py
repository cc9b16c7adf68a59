"""Paths as the repository has them: services know nothing of pytest's root, which may be a folder of the repository."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pytest_uno.leaks.model import Frame
from pytest_uno.reports.groups import Group

__all__ = ["relocate"]


def relocate(groups: Sequence[Group], folder: str) -> list[Group]:
    """Name the user's own files from the top of the repository.

    Args:
        groups: leaks whose files are relative to pytest's root; their fingerprints stay what they are.
        folder: pytest's root, relative to the top of the repository; empty if they are the same.
    """
    if not folder:
        return list(groups)
    return [_relocate_group(group, folder) for group in groups]


def _relocate_group(group: Group, folder: str) -> Group:
    finding, owner = group.finding, group.finding.owner
    return replace(
        group,
        finding=replace(
            finding,
            created=_relocate_frames(finding.created, folder),
            waiting_at=_relocate_frames(finding.waiting_at, folder),
            owner=replace(owner, file=owner.file and f"{folder}/{owner.file}"),
        ),
    )


def _relocate_frames(frames: Iterable[Frame], folder: str) -> tuple[Frame, ...]:
    return tuple(replace(frame, file=f"{folder}/{frame.file}") if frame.in_app else frame for frame in frames)
