"""Text of users' programs, made fit to be shown: names of tests and tasks may hold anything."""

from __future__ import annotations

import re

__all__ = ["escape_controls", "one_line", "shorten"]

_CONTROLS = re.compile(
    # C0 and C1, DEL, the separators that some readers take for the end of a line, what turns the direction of the
    # text around, and halves of surrogate pairs, which no file can hold.
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)

_NAME_LENGTH = 200


def escape_controls(text: str) -> str:
    r"""Show what would command a terminal or break a file, as Python would in a string.

    Args:
        text: the text; its line ends and tabs stay.

    Example:
        >>> escape_controls("\x1b[31mred")
        '\\x1b[31mred'
    """
    return _CONTROLS.sub(_escape, text)


def one_line(text: str) -> str:
    r"""Show a name on one line.

    Args:
        text: the name.

    Example:
        >>> one_line("two\nlines")
        'two\\nlines'
    """
    return escape_controls(text.replace("\r", "\\r").replace("\n", "\\n").replace("\t", "\\t"))


def shorten(text: str, length: int = _NAME_LENGTH) -> str:
    """Show the beginning and the end of a name that nobody can read as a whole.

    Args:
        text: the name.
        length: how many characters may stay.
    """
    if len(text) <= length:
        return text
    mark = f"[... {len(text)} characters ...]"
    end = max(0, (length - len(mark)) // 3)
    begin = max(0, length - len(mark) - end)
    return text[:begin] + mark + text[len(text) - end :]


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
