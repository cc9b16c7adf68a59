"""Names that break naive reports, in every place where a leak has a name of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pytest_uno.leaks.model import Finding, Frame, OwnerInfo
from pytest_uno.reports.groups import Found, Group, Level, Status, group_findings

__all__ = ["HOSTILE", "JUDGEMENTS", "hostile_groups", "hostile_sightings"]

HOSTILE: Mapping[str, str] = MappingProxyType(
    {
        "plain": "plain",
        "empty": "",
        "space": " ",
        "quotes": "\"double\" 'single' \\back\\ \\",
        "newlines": "one\ntwo\n\nthree\n",
        "carriage-returns": "one\r\ntwo\rthree",
        "separators": "one\x0btwo\x0cthree\x1cfour\x85five\u2028six\u2029seven",
        "cdata": "<![CDATA[ ]]> ]]>",
        "script": "</code></summary></details><script>alert(1)</script><!-- <img src=x onerror=alert(1)>",
        "entities": "&lt;b&gt; &#124; &amp;",
        "emoji": "👩‍👩‍👧 naïve 日本",
        "ansi": "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J",
        "backticks": "`one` ``two`` ```` four",
        "fence": "before\n````text\n```\n~~~\nafter",
        "pipes": "a|b||c\\|d`|`",
        "markdown": "**bold** _under_ __init__ # [link](https://example.org) ![image](x) @user #1 :x: ~~no~~",
        "sarif-link": "[here](1) ](2) \\[x](3) {0} {{1}}",
        "percent": "100% %0A::error::no %25 %3A %2C",
        "command": "\n::error file=a,line=1::no\n::stop-commands::x\n##[error]no",
        "command-inside": "x::error::no,file=b",
        "details": "\n</details>\n<details>\n",
        "table": "\n| a | b |\n|---|---|\n",
        "surrogates": "half \ud800 and \udc80 and \udfff",
        "right-to-left": "a\u202egnp.py\u2066b\u2069",
        "nul": "a\x00b",
        "byte-order-mark": "\ufeffa\ufeff",
        "tabs": "\ta\tb\t",
        "long": "x" * 10_000,
        "long-lines": "y`|\n" * 2_500,
        "windows": "C:\\temp\\a.py",
        "upwards": "../../etc/passwd",
    }
)
"""Every name by what is hostile in it; the first one is harmless."""

JUDGEMENTS: tuple[tuple[Status, Level], ...] = (
    ("new", "error"),
    ("allowed", "warn"),
    ("baseline", "error"),
    ("allowed", "error"),
)
"""Each way in which a leak can be judged."""


def hostile_sightings(text: str) -> list[Found]:
    """Find one leak of the user's code and one of a library, for each way to judge them, with one name everywhere.

    Args:
        text: the name.
    """
    return [
        Found(
            _finding(text, f"{number}{text}", in_app),
            f"tests/{text}.py::{text}[{text}-{number}]",
            None,
            status,
            level,
            text,
        )
        for number, (status, level) in enumerate(JUDGEMENTS)
        for in_app in (True, False)
    ]


def hostile_groups(text: str) -> list[Group]:
    """Group what `hostile_sightings` finds: every finding is a leak of its own.

    Args:
        text: the name.
    """
    return group_findings(hostile_sightings(text))


def _finding(text: str, target: str, in_app: bool) -> Finding:
    created = Frame(f"src/{text}" if in_app else f"/opt/{text}", 1, text, text, in_app)
    caller = Frame(text, 2, text, text, in_app)
    return Finding(
        "UNO101",
        text,
        target,
        (created, caller),
        (Frame(text, 3, text, text, in_app), caller),
        text,
        OwnerInfo("fixture", text, "function", text, 4),
        text,
    )
