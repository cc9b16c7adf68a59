"""Text of users' programs as HTML: nothing of it becomes an element or an attribute."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

from pytest_uno.reports.kinds import Kind
from pytest_uno.reports.plain_text import escape_controls, one_line, shorten

__all__ = ["MANY", "ONE", "block", "code", "name", "plain", "prose"]

ONE: Mapping[Kind, str] = {"new": "new", "warned": "warning", "baseline": "known", "allowed": "allowed"}
"""What a leak of a kind is called."""

MANY: Mapping[Kind, str] = {**ONE, "warned": "warnings"}
"""What stands beside the number of the leaks of a kind."""

_CODE_SPAN = re.compile(r"`([^`]+)`")


def plain(text: str) -> str:
    """Return text that stands between tags, or in quotation marks as the value of an attribute.

    Args:
        text: the text; its line ends and tabs stay.
    """
    return html.escape(escape_controls(text))


def name(text: str, tag: str = "span") -> str:
    """Return a name on one line; where it is too long to be read, all of it is in the title.

    Args:
        text: the name, whatever it holds.
        tag: the element that it stands in.
    """
    whole = one_line(text)
    shown = shorten(whole)
    title = "" if shown == whole else f' title="{html.escape(whole)}"'
    return f"<{tag}{title}>{html.escape(shown)}</{tag}>"


def code(text: str) -> str:
    """Return a name that is code, as that of a file, a function or a test.

    Args:
        text: the name, whatever it holds.
    """
    return name(text, "code")


def block(text: str) -> str:
    """Return lines of code or of a traceback, which are never cut.

    Args:
        text: the lines.
    """
    # The first line end of a `pre` would not count.
    return f"<pre><code>{plain(text)}</code></pre>"


def prose(text: str) -> str:
    """Return a sentence of ours, with its `code` as such.

    Args:
        text: the sentence.
    """
    return _CODE_SPAN.sub(r"<code>\1</code>", html.escape(text, quote=False))
