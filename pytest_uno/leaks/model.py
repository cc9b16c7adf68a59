"""What a detector hands out: plain, immutable data that survives JSON unchanged.

Findings travel as JSON on a test's report, so that pytest-xdist carries them and nothing needs a pickle.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pytest_uno.leaks.owners import Owner, OwnerKind, describe_owner

__all__ = ["Finding", "Frame", "OwnerInfo", "portable_file", "with_place"]

_INSTALLATION = re.compile(r".*/(?:(?:site|dist)-packages|python3\.\d+)/")
"""The part of a library's path that differs from machine to machine."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One line of code.

    Attributes:
        file: posix path, relative to the root if `in_app`, else as the interpreter gives it.
        line: the line, from 1.
        function: the function's qualified name, or its plain name where only that is known.
        code: the text of the line, without its indentation; empty if the source is not at hand.
        in_app: whether it is the user's own code.
    """

    file: str
    line: int
    function: str
    code: str
    in_app: bool

    def to_json(self) -> dict[str, Any]:
        """Return the frame as a dict of JSON values."""
        return {
            "file": self.file,
            "line": self.line,
            "function": self.function,
            "code": self.code,
            "in_app": self.in_app,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Frame:
        """Rebuild a frame; unknown members are ignored.

        Args:
            data: what `to_json` returned.

        Raises:
            KeyError: a member is missing.
        """
        return cls(data["file"], data["line"], data["function"], data["code"], data["in_app"])


@dataclass(frozen=True, slots=True)
class OwnerInfo:
    """A plain copy of an `Owner`; see there for the attributes."""

    kind: OwnerKind
    name: str
    scope: str
    file: str | None = None
    line: int | None = None

    @classmethod
    def of(cls, owner: Owner) -> OwnerInfo:
        """Copy what is known of an owner.

        Args:
            owner: the owner.
        """
        return cls(owner.kind, owner.name, owner.scope, owner.file, owner.line)

    def describe(self) -> str:
        """Say who it is, as `Owner.describe` does."""
        return describe_owner(self.kind, self.name, self.scope, self.file, self.line)

    def to_json(self) -> dict[str, Any]:
        """Return the owner as a dict of JSON values."""
        return {
            "kind": self.kind,
            "name": self.name,
            "scope": self.scope,
            "file": self.file,
            "line": self.line,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> OwnerInfo:
        """Rebuild an owner; unknown members are ignored.

        Args:
            data: what `to_json` returned.

        Raises:
            KeyError: a member is missing.
        """
        return cls(data["kind"], data["name"], data["scope"], data["file"], data["line"])


@dataclass(frozen=True, slots=True)
class Finding:
    """One leak of one test or fixture.

    Attributes:
        rule: the code of the rule, as "UNO101".
        subject: what leaked, one phrase.
        target: the qualified name of the coroutine or class; a part of the fingerprint.
        created: where it was created, the innermost frame first; at least one frame.
        waiting_at: where it stands, the innermost frame first; empty where that makes no sense.
        awaited_by: who waits for it, one phrase; None for nobody.
        owner: whose leak it is.
        details: further text, as the traceback of an exception; may have many lines.
    """

    rule: str
    subject: str
    target: str
    created: tuple[Frame, ...]
    waiting_at: tuple[Frame, ...]
    awaited_by: str | None
    owner: OwnerInfo
    details: str = ""

    @property
    def fingerprint(self) -> str:
        """What makes two leaks the same one: 16 hexadecimal digits.

        A SHA-256 prefix over the rule, the file and the function that created it, and the target. Line
        numbers, formatting and names of tests and tasks do not enter it, so that it survives edits; of a
        library's path only the part below its installation enters, so that it survives another machine.
        """
        origin = self.created[0]
        parts = (self.rule, portable_file(origin), origin.function, self.target)
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Return the finding as a dict of JSON values."""
        return {
            "rule": self.rule,
            "subject": self.subject,
            "target": self.target,
            "created": [frame.to_json() for frame in self.created],
            "waiting_at": [frame.to_json() for frame in self.waiting_at],
            "awaited_by": self.awaited_by,
            "owner": self.owner.to_json(),
            "details": self.details,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Finding:
        """Rebuild a finding; unknown members are ignored.

        Args:
            data: what `to_json` returned.

        Raises:
            KeyError: a member is missing.
        """
        return cls(
            rule=data["rule"],
            subject=data["subject"],
            target=data["target"],
            created=tuple(map(Frame.from_json, data["created"])),
            waiting_at=tuple(map(Frame.from_json, data["waiting_at"])),
            awaited_by=data["awaited_by"],
            owner=OwnerInfo.from_json(data["owner"]),
            details=data["details"],
        )


def portable_file(frame: Frame) -> str:
    """Return a frame's file as it is called on every machine: of a library the part below its installation.

    Args:
        frame: the frame.
    """
    if frame.in_app:
        return frame.file
    return _INSTALLATION.sub("", frame.file.replace("\\", "/"))


def with_place(finding: Finding) -> Finding:
    """Name the owner's place where a finding has left no trace of its creation.

    Args:
        finding: the finding.
    """
    if finding.created:
        return finding
    owner = finding.owner
    frame = Frame(
        owner.file or "<unknown>", owner.line or 1, owner.name or owner.kind, "", owner.file is not None
    )
    return replace(finding, created=(frame,))
