"""The collector of the documentation's examples fails where an example is wrong."""

from __future__ import annotations

import textwrap
from pathlib import Path
from unittest import SkipTest

import pytest
from sybil import Document, Example
from sybil.example import SybilFailure

from tests.documentation.sybil_pytest_project import (
    PytestProjectParser,
    find_difference,
    parse_commands,
    run_commands,
)
from tests.documentation.sybil_python_blocks import DocstringDocument, DocstringParser, PythonBlockParser

OUTPUT = """\
==== test session starts ====
test_a.py .F                                [100%]

____ test_b ____
E   assert 1 == 2
==== 1 failed, 1 passed in 0.31s ====
"""


def shown(text: str) -> list[str]:
    return textwrap.dedent(text).splitlines()


def page(tmp_path: Path, text: str) -> Document:
    path = tmp_path / "page.md"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return Document.parse(str(path), PythonBlockParser(), PytestProjectParser())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "...",
        "test_a.py .F [100%]".replace(" [", "   ["),
        "========= 1 failed, 1 passed in 7.5s =========",
        "test_a.py .F  [100%]\n\n_______ test_b _______",
        "=== test session starts ===\n...\nE   assert 1 == 2\n=== 1 failed... ===",
        "E   assert ... == 2",
    ],
)
def test_output_matches(text: str) -> None:
    assert find_difference(shown(text), OUTPUT) is None


@pytest.mark.parametrize(
    "text",
    [
        "test_a.py ..  [100%]",
        "=== 2 failed, 1 passed in 0.31s ===",
        "test_a.py .F  [100%]\nE   assert 1 == 2",
        "E   assert 1 == 2\n...\ntest_a.py .F  [100%]",
        "E assert 1 == 2",
        "...\nE   assert 1 == 2\n...\nE   assert 1 == 2",
    ],
    ids=["other text", "other number", "gap", "order", "indentation", "twice"],
)
def test_output_differs(text: str) -> None:
    difference = find_difference(shown(text), OUTPUT)
    assert difference is not None
    assert OUTPUT in difference


def test_commands_and_what_is_shown() -> None:
    first, second = parse_commands("$ pytest -k 'a or b'\n1 passed\n$ pytest\n")
    assert first.arguments == ("-k", "a or b")
    assert first.shown == ("1 passed",)
    assert second.arguments == second.shown == ()


def test_only_pytest_is_run() -> None:
    with pytest.raises(ValueError, match="not 'rm'"):
        parse_commands("$ pytest\n$ rm -r .")


def test_project_runs_and_writes() -> None:
    files = (("test_a.py", "def test_a(tmp_path): open('out.txt', 'w').write('x')\n"),)
    outcome = run_commands(files, ((), ("-k", "nothing")))
    assert outcome.exit_codes == (0, 5)
    assert outcome.written == {"out.txt": "x"}
    assert "1 passed" in outcome.outputs[0]


PROJECT = """
    <!-- file: test_a.py -->
    ```python
    def test_a() -> None:
        assert 1 == {right}
    ```

    ```console
    $ pytest
    {shown}
    ```
"""


def test_a_project_is_one_example_and_its_file_is_not_run_as_a_block(tmp_path: Path) -> None:
    (example,) = page(tmp_path, PROJECT.format(right=1, shown="..."))
    example.evaluate()


@pytest.mark.parametrize(
    ("right", "text"), [(1, "=== 1 failed in 0.1s ==="), (2, "")], ids=["shown", "exit code"]
)
def test_a_wrong_project_fails(tmp_path: Path, right: int, text: str) -> None:
    (example,) = page(tmp_path, PROJECT.format(right=right, shown=text))
    with pytest.raises(SybilFailure):
        example.evaluate()


def test_a_written_file_is_compared(tmp_path: Path) -> None:
    project = """
        <!-- file: test_a.py -->
        ```python
        def test_a() -> None:
            open("out.txt", "w").write("one\\ntwo")
        ```

        ```console
        $ pytest
        ```

        <!-- written: out.txt -->
        ```text
        two
        ```

        <!-- written: out.txt -->
        ```text
        three
        ```

        <!-- written: other.txt -->
        ```text
        ```
    """
    run, same, different, absent = page(tmp_path, project)
    run.evaluate()
    same.evaluate()
    for example in (different, absent):
        with pytest.raises(SybilFailure):
            example.evaluate()


def test_a_file_that_nothing_runs_fails(tmp_path: Path) -> None:
    (example,) = page(tmp_path, "<!-- file: test_a.py -->\n```python\nboom\n```\n")
    with pytest.raises(SybilFailure, match="no `\\$ pytest` block"):
        example.evaluate()


def test_a_new_project_forgets_the_files(tmp_path: Path) -> None:
    second = "\n<!-- new project -->\n\n```console\n$ pytest\n=== no tests ran in 0.1s ===\n```\n"
    _, example = page(tmp_path, textwrap.dedent(PROJECT.format(right=1, shown="...")) + second)
    example.evaluate()


def test_blocks_share_names_and_may_await(tmp_path: Path) -> None:
    blocks = ["import asyncio\nx = 1", "await asyncio.sleep(0)\ny = x", "assert y == 2"]
    first, second, third = page(tmp_path, "".join(f"```python\n{block}\n```\n" for block in blocks))
    for example in (first, second):
        example.evaluate()
    with pytest.raises(AssertionError):
        third.evaluate()


def test_a_block_alone_runs_those_before_it_once(tmp_path: Path) -> None:
    first, second = page(
        tmp_path, "```python\nx = [1]\n```\n```python\nx.append(2)\nassert x == [1, 2]\n```\n"
    )
    second.evaluate()
    first.evaluate()
    assert second.namespace["x"] == [1, 2]


def test_a_skipped_block_says_why_and_is_no_predecessor(tmp_path: Path) -> None:
    text = "<!-- skip: next, an outline -->\n```python\nboom\n```\n```python\npass\n```\n"
    skipped, example = page(tmp_path, text)
    example.evaluate()
    with pytest.raises(SkipTest, match="an outline"):
        skipped.evaluate()


def test_a_skipped_block_without_a_reason_fails(tmp_path: Path) -> None:
    (example,) = page(tmp_path, "<!-- skip: next -->\n```python\nboom\n```\n")
    with pytest.raises(SybilFailure, match="needs its reason"):
        example.evaluate()


MODULE = '''
def double(number):
    """Double a number.

    Example:
        >>> number = double(2)
        >>> number
        {right}
    """
    return 2 * number
'''


def docstring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, right: int) -> Example:
    path = tmp_path / f"{name}.py"
    path.write_text(MODULE.format(right=right), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    (example,) = DocstringDocument.parse(str(path), DocstringParser())
    return example


def test_a_docstring_is_one_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docstring(tmp_path, monkeypatch, "documented_rightly", 4).evaluate()


def test_a_wrong_docstring_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = docstring(tmp_path, monkeypatch, "documented_wrongly", 5)
    with pytest.raises(SybilFailure, match=r"Expected:\n *5\nGot:\n *4"):
        example.evaluate()
