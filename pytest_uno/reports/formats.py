"""The formats of the leak report: which there are, and where each goes when nobody says so.

Every renderer is a pure function of the groups and the run, in a module of its own that is imported when it is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pytest_uno.reports.groups import Group, RunSummary

__all__ = ["FORMATS", "Format", "render_report"]


class Format(NamedTuple):
    """One format.

    Attributes:
        module: the module of this package that renders it.
        function: the renderer: groups and run in, text out.
        default_path: the file it is written to; None for what is printed.
        for_service: whether a service reads it, which knows the files by their paths in the repository.
    """

    module: str
    function: str
    default_path: str | None
    for_service: bool = False


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "terminal": Format("terminal", "render_terminal", None),
        "json": Format("json_report", "render_json", "leaks.json"),
        "html": Format("html", "render_html", "leaks.html"),
        "sarif": Format("sarif", "render_sarif", "leaks.sarif", for_service=True),
        "gitlab": Format("gitlab", "render_gitlab", "gl-code-quality.json", for_service=True),
        "markdown": Format("markdown", "render_markdown", "leaks.md"),
        "github": Format("github", "render_github", None, for_service=True),
    }
)
"""Every format by the name that users type."""


def render_report(name: str, groups: Sequence[Group], run: RunSummary) -> str:
    """Render a report.

    Args:
        name: the name of the format.
        groups: the leaks, in the order of the report.
        run: the run that they were found in.

    Returns:
        The text, which ends with a line end.
    """
    form = FORMATS[name]
    renderer = getattr(import_module(f"pytest_uno.reports.{form.module}"), form.function)
    if form.for_service:
        from pytest_uno.reports.repository_paths import relocate

        groups = relocate(groups, run.folder)
    text: str = renderer(groups, run)
    return text
