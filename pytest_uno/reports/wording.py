"""Phrases that several reports share."""

from __future__ import annotations

from pytest_uno.leaks.model import Frame
from pytest_uno.reports.groups import Group
from pytest_uno.reports.plain_text import one_line, shorten

__all__ = ["as_sentence", "count_of", "name", "place_of", "seen_first_in", "seen_in"]


def count_of(number: int, noun: str) -> str:
    """Count something.

    Args:
        number: how many there are.
        noun: one of them.

    Example:
        >>> count_of(1, "test"), count_of(1200, "test")
        ('1 test', '1,200 tests')
    """
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"


def name(text: str) -> str:
    r"""Show a name that may hold anything, on one line and not too long.

    Args:
        text: the name.

    Example:
        >>> name("two\nlines")
        'two\\nlines'
    """
    return one_line(shorten(text))


def seen_in(group: Group) -> str:
    """Say in how many tests a leak was seen, which fits every rule: not all leaks outlive a test.

    Args:
        group: the leak.
    """
    return f"seen in {count_of(len(group.tests), 'test')}"


def seen_first_in(group: Group) -> str:
    """Say where a leak was seen, with the name of one test.

    Args:
        group: the leak.
    """
    first = name(group.tests[0])
    return f"seen in {first}" if len(group.tests) == 1 else f"{seen_in(group)}, first {first}"


def place_of(frame: Frame) -> str:
    """Name a place in the code.

    Args:
        frame: the place.
    """
    return f"{name(frame.file)}:{frame.line} in {name(frame.function)}"


def as_sentence(text: str) -> str:
    """Make a sentence of a phrase.

    Args:
        text: the phrase, without a full stop.

    Example:
        >>> as_sentence("a task was not done")
        'A task was not done.'
    """
    return f"{text[:1].upper()}{text[1:]}."
