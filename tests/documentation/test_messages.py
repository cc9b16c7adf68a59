"""Every error message leads to an entry of the page of messages, and no entry is left over."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "messages.md"
# The anchor, the title, and a text of at least one line.
ENTRY = re.compile(r"^\((?P<anchor>[a-z0-9-]+)\)=\n## (?P<title>.+)\n+(?P<text>[^#(\n].+)", re.MULTILINE)


def source_files() -> Iterator[Path]:
    spec = importlib.util.find_spec("pytest_uno")
    assert spec is not None
    assert spec.submodule_search_locations
    for location in spec.submodule_search_locations:
        yield from sorted(Path(location).rglob("*.py"))


def anchors_in(source: str) -> Iterator[tuple[int, str | None]]:
    """Yield the line and the anchor of each call of `compose_message`; None where it is no literal."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id="compose_message") | ast.Attribute(attr="compose_message")):
                match [keyword.value for keyword in node.keywords if keyword.arg == "anchor"]:
                    case [ast.Constant(value=str(anchor))]:
                        yield node.lineno, anchor
                    case _:
                        yield node.lineno, None
            case _:
                pass


def anchors_in_code() -> dict[str, str]:
    """Map each anchor that the package uses to a place that uses it."""
    return {
        anchor: f"{path.name}:{line}"
        for path in source_files()
        for line, anchor in anchors_in(path.read_text(encoding="utf-8"))
        if anchor is not None
    }


def entries_of_page() -> list[str]:
    return [match["anchor"] for match in ENTRY.finditer(PAGE.read_text(encoding="utf-8"))]


def test_anchors_are_found_by_syntax() -> None:
    source = (
        'compose_message("a", fix="b", anchor="one")\nerrors.compose_message("a", fix="b", anchor=name)\n'
    )
    assert list(anchors_in(source)) == [(1, "one"), (2, None)]


@pytest.mark.parametrize("path", list(source_files()), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_anchors_are_literals(path: Path) -> None:
    computed = [line for line, anchor in anchors_in(path.read_text(encoding="utf-8")) if anchor is None]
    assert not computed, f"lines {computed}: an anchor must be a literal, or nobody can check that it exists"


def test_every_message_has_an_entry() -> None:
    missing = {
        anchor: place for anchor, place in anchors_in_code().items() if anchor not in entries_of_page()
    }
    assert not missing, f"add these anchors to docs/reference/messages.md: {missing}"


def test_every_entry_has_a_message() -> None:
    left_over = set(entries_of_page()) - set(anchors_in_code())
    assert not left_over, f"no message of the package leads to these entries: {sorted(left_over)}"


def test_no_entry_stands_twice_or_without_text() -> None:
    entries = entries_of_page()
    assert len(entries) == len(set(entries))
    assert entries == re.findall(r"^\((.+)\)=$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
