"""Leaks that are meant to be: a rule, who creates it, and why that is right.

Who writes such a pattern names the function that creates, never the line: lines move with every edit.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from pytest_uno.leaks.policy import covers, find_pattern_problem

if TYPE_CHECKING:
    from pytest_uno.leaks.model import Finding

__all__ = [
    "Allowance",
    "Allowances",
    "find_allowances_problem",
    "matching",
    "read_allowance",
    "read_allowances",
]

EXAMPLE = "UNO101 shop/poller.py::start_poller: lives as long as the process"

# Compiled when the first line is read: most runs have none.
_SHAPE = r"""
    (?P<rule> [^\s:]+ )
    (?: \s+ (?P<file> [^\s:] (?: (?!::) . )*? ) :: (?P<function> [^\s:]+ ) )?
    \s*
    (?: : (?!:) (?P<reason> .* ) )?
    """
_BY_LINE = r"(?P<file>[^\s:]\S*?)::?\d+(?:\s+in\s+(?P<shown>[^\s:]+)|::(?P<given>[^\s:]+)|(?=\s|$))"


class Allowance(NamedTuple):
    """What may leak.

    Attributes:
        rule: the code of the rule, or a family, as "UNO1xx".
        file: the file that creates it, as `Frame.file`; `*` stands for any text and `?` for one character.
        function: the qualified name of the function that creates it, with the same wildcards.
        reason: why it may, in the user's words; may be empty.
    """

    rule: str
    file: str = "*"
    function: str = "*"
    reason: str = ""

    @property
    def pattern(self) -> str:
        """What the user wrote, without the reason."""
        is_anywhere = (self.file, self.function) == ("*", "*")
        return self.rule if is_anywhere else f"{self.rule} {self.file}::{self.function}"

    def covers(self, finding: Finding) -> bool:
        """Say whether a finding is what may leak.

        Args:
            finding: the finding; the frame that counts is the first one of its creation.
        """
        origin = finding.created[0]
        return (
            covers(self.rule, finding.rule)
            and _compile(self.function).fullmatch(origin.function) is not None
            and _compile(self.file).fullmatch(origin.file.replace("\\", "/")) is not None
        )


Allowances = tuple[Allowance, ...]


@functools.lru_cache(maxsize=256)
def _compile(pattern: str) -> re.Pattern[str]:
    parts = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern)
    return re.compile("".join(parts), re.DOTALL)


def matching(allowances: Iterable[Allowance], finding: Finding) -> list[Allowance]:
    """Return those that cover a finding, in their order.

    Args:
        allowances: what may leak.
        finding: the finding.
    """
    return [allowance for allowance in allowances if allowance.covers(finding)]


def read_allowance(text: str, *, needs_all: bool = False) -> Allowance:
    """Read a pattern, as "UNO101 shop/poller.py::start_poller: lives as long as the process".

    Args:
        text: the text.
        needs_all: neither the place nor the reason may be missing.

    Raises:
        ValueError: it is none; the text of the error says what is wrong.
    """
    by_line = re.search(_BY_LINE, text.partition(": ")[0])
    if by_line is not None:
        function = by_line["shown"] or by_line["given"] or "FUNCTION"
        place = f"{by_line['file']}::{function}"
        raise ValueError(f"never by line, which moves: name the function that creates, as {place!r}")
    shape = re.fullmatch(_SHAPE, text.strip(), re.VERBOSE | re.DOTALL)
    if shape is None:
        raise ValueError(f"write a rule, a place and a reason, as {EXAMPLE!r}")
    problem = find_pattern_problem(shape["rule"])
    if problem is not None:
        raise ValueError(problem)
    reason = (shape["reason"] or "").strip()
    file: str | None = shape["file"]
    if file is None and needs_all:
        raise ValueError(f"name what creates it, as {EXAMPLE!r}; '*::*' stands for everything")
    if file is not None and "\\" in file:
        raise ValueError(f"write the path with '/', as {file.replace(chr(92), '/')!r}")
    if not reason and needs_all:
        raise ValueError(f"say why it may leak, behind a colon, as {EXAMPLE!r}")
    return Allowance(shape["rule"], file or "*", shape["function"] or "*", reason)


def read_allowances(value: object) -> Allowances:
    """Read what a marker allows: a pattern, several, or patterns with their reasons; None for nothing.

    Args:
        value: what the user wrote.

    Raises:
        ValueError: it is not that; the text of the error says what is wrong.
    """
    if value is None:
        return ()
    if isinstance(value, str):
        return (read_allowance(value),)
    if isinstance(value, Mapping):
        return tuple(_read_item(*item) for item in cast("Mapping[object, object]", value).items())
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        given = cast("Sequence[object]", value)
        texts = [text for text in given if isinstance(text, str)]
        if len(texts) == len(given):
            return tuple(map(read_allowance, texts))
    raise ValueError(
        "give a rule, as 'UNO102', with who creates it, as 'UNO101 shop/poller.py::start_poller', a list of such "
        "texts, or a dict of them and their reasons"
    )


def _read_item(pattern: object, reason: object) -> Allowance:
    if not isinstance(pattern, str) or not isinstance(reason, str):
        raise ValueError("give a dict of patterns and their reasons, as {'UNO102': 'the server logs it'}")
    allowance = read_allowance(pattern)
    if allowance.reason:
        raise ValueError(f"{pattern!r} has a reason of its own: leave it to the value of the dict")
    return Allowance(allowance.rule, allowance.file, allowance.function, reason.strip())


def find_allowances_problem(value: object) -> str | None:
    """Say what is wrong with what a marker allows, None if nothing is.

    Args:
        value: what the user wrote.
    """
    try:
        read_allowances(value)
    except ValueError as error:
        return str(error)
    return None
