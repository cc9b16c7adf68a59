"""The trees of exceptions that are written down are those of the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pytest_uno"
PAGE = ROOT / "docs" / "reference" / "exceptions.md"


def classes() -> dict[str, list[str]]:
    """Return the names of the bases of each class of the package."""
    found: dict[str, list[str]] = {}
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found[node.name] = [base.id for base in node.bases if isinstance(base, ast.Name)]
    return found


def real_tree() -> dict[str, tuple[str, str]]:
    """Return, of each exception below `UnoError`, the one above it and what else it is."""
    bases = classes()
    tree: dict[str, tuple[str, str]] = {}
    names = ["UnoError"]
    for above in names:
        for name, own in bases.items():
            if above in own and name not in tree:
                others = [base for base in own if base != above]
                tree[name] = (above, " ".join(others))
                names.append(name)
    return tree


def written_tree(text: str) -> dict[str, tuple[str, str]]:
    """Return the same from a drawing."""
    tree: dict[str, tuple[str, str]] = {}
    above = ["UnoError"]
    for bars, name, also in re.findall(r"^( [│ ├└─]*── )(\w+)(?: +also an? (\w+))?$", text, re.MULTILINE):
        depth = len(bars) // 5 - 1
        del above[depth + 1 :]
        tree[name] = (above[depth], also)
        above.append(name)
    return tree


@pytest.mark.parametrize("page", [PACKAGE / "core" / "errors.py", PAGE], ids=lambda page: page.name)
def test_tree_is_that_of_the_code(page: Path) -> None:
    real = real_tree()
    assert real["StepLimitError"] == ("ExplorationError", "")
    assert written_tree(page.read_text(encoding="utf-8")) == real


def test_each_exception_has_a_page() -> None:
    entries = set[str]()
    for page in PAGE.parent.rglob("*.md"):
        entries |= set(
            re.findall(
                r"^\.\. autoexception:: pytest_uno[\w.]*\.(\w+)$",
                page.read_text(encoding="utf-8"),
                re.MULTILINE,
            )
        )
    assert {"UnoError", *real_tree()} <= entries


def test_warnings_are_those_of_the_code() -> None:
    text = (PACKAGE / "core" / "errors.py").read_text(encoding="utf-8")
    written = re.findall(r"^(\w+) +an? UserWarning: ", text, re.MULTILINE)
    assert sorted(written) == sorted(name for name, bases in classes().items() if bases == ["UserWarning"])
