"""Small pytest projects in Markdown pages, run as a reader would run them.

A page shows files and what pytest prints for them::

    <!-- file: test_greeting.py -->
    ```python
    def test_greeting() -> None:
        assert "hello" == "hallo"
    ```

    ```console
    $ pytest
    ...
    FAILED test_greeting.py::test_greeting - AssertionError: ...
    ```

Each `$ pytest` runs in a process of its own, in a new directory with the files that the page has shown so
far. The lines below it must stand in the output, in this order and without a gap, except where a line of
three dots skips; three dots inside a line stand for any text. Blank lines, durations and the width of rules
and columns do not count. A command without shown output must succeed.

`<!-- file: PATH -->`
    The block is a file of the project. The same path again replaces the file.
`<!-- written: PATH -->`
    The block's lines stand in a file that the commands above wrote, compared in the same way.
`<!-- new project -->`
    On a line of its own, anywhere: the files shown so far no longer count.

Plugins of others that take long to import are left out unless a file mentions them.

Unless a page shows a pytest.ini, the project has one that says what the root's configuration says for our
own tests.
"""

from __future__ import annotations

import fnmatch
import functools
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sybil import Document, Example, Region

from tests.documentation.fenced_blocks import FencedBlock, fenced_blocks

__all__ = ["Command", "PytestProjectParser", "find_difference", "parse_commands", "run_commands"]

_RUN_TIMEOUT = 60
_INI = """\
[pytest]
addopts = --import-mode=importlib
asyncio_default_fixture_loop_scope = function
"""
_NEW_PROJECT = re.compile(r"^<!-- new project -->$", re.MULTILINE)


# Importing these takes longer than all the rest of a run.
_SLOW_PLUGINS = {
    "trio": "trio",
    "anyio": "anyio",
    "hypothesis": "hypothesispytest",
    "coverage": "pytest_cov",
    "workers": "xdist",
}


@dataclass(frozen=True)
class Command:
    """One command of a console block.

    Attributes:
        arguments: what stands behind `pytest`.
        shown: the lines that the page shows below the command.
    """

    arguments: tuple[str, ...]
    shown: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What the commands of one console block did.

    Attributes:
        outputs: what each command printed.
        exit_codes: how each ended.
        written: the text files that were there afterwards and not before, by path.
    """

    outputs: tuple[str, ...]
    exit_codes: tuple[int, ...]
    written: Mapping[str, str]


def parse_commands(source: str) -> tuple[Command, ...]:
    """Split a console block into its commands and what is shown for each.

    Args:
        source: the block; its first line must be a command.

    Raises:
        ValueError: a command is not `pytest`.
    """
    commands: list[tuple[tuple[str, ...], list[str]]] = []
    for line in source.splitlines():
        if line.startswith("$ "):
            program, *arguments = shlex.split(line[2:])
            if program != "pytest":
                raise ValueError(f"only pytest is run in documentation, not {program!r}")
            commands.append((tuple(arguments), []))
        elif line.strip():
            commands[-1][1].append(line)
    return tuple(Command(arguments, tuple(shown)) for arguments, shown in commands)


@functools.cache
def run_commands(files: tuple[tuple[str, str], ...], commands: tuple[tuple[str, ...], ...]) -> Outcome:
    """Run pytest in a new directory, once for each command, and return what it printed and wrote.

    Args:
        files: path and text of each file of the project.
        commands: the arguments of each run.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        # A run inside a run must not inherit the outer one's options, nor a blocked byte code cache, with
        # which every run rewrites the assertions of every plugin again.
        if not name.startswith(("PYTEST", "PYTHONDONTWRITEBYTECODE", "GITHUB", "CI"))
    }
    environment |= {"COLUMNS": "100", "NO_COLOR": "1", "PYTHONSAFEPATH": "1", "PYTHONIOENCODING": "utf-8"}
    text = "\n".join(text for _, text in files)
    options = [f"-pno:{plugin}" for word, plugin in _SLOW_PLUGINS.items() if word not in text]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        project = {"pytest.ini": _INI, **dict(files)}
        for path, text in project.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_text(text, encoding="utf-8")
        runs = [
            subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "pytest",
                    "-p",
                    "no:cacheprovider",
                    "-p",
                    "no:randomly",
                    *options,
                    *arguments,
                ],
                cwd=directory,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                timeout=_RUN_TIMEOUT,
                check=False,
            )
            for arguments in commands
        ]
        written = {
            path.relative_to(directory).as_posix(): path.read_text(encoding="utf-8")
            for path in sorted(directory.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts
        }
    for path in project:
        written.pop(path, None)
    return Outcome(tuple(run.stdout for run in runs), tuple(run.returncode for run in runs), written)


def find_difference(shown: Sequence[str], output: str) -> str | None:
    """Say which shown lines the output lacks, or return None where it has them all.

    Args:
        shown: the lines of the page.
        output: what there really was.
    """
    printed = [line for line in map(_normalize, output.splitlines()) if line]
    position = 0
    for passage in _split_at_gaps(shown):
        patterns = [_pattern(line) for line in passage]
        for start in range(position, len(printed) - len(patterns) + 1):
            if all(map(fnmatch.fnmatchcase, printed[start:], patterns)):
                position = start + len(patterns)
                break
        else:
            wanted = "\n".join(passage)
            return (
                f"these lines are not in the output, in this place and without a gap:\n{wanted}\n\n{output}"
            )
    return None


def _split_at_gaps(shown: Sequence[str]) -> list[list[str]]:
    passages: list[list[str]] = [[]]
    for line in shown:
        if line.strip() == "...":
            passages.append([])
        elif line.strip():
            passages[-1].append(line)
    return [passage for passage in passages if passage]


def _normalize(line: str) -> str:
    line = re.sub(r"\b\d+(\.\d+)?s\b", "0.00s", line.rstrip())
    line = re.sub(r"([=_!-])\1{2,}", r"\1\1\1", line)
    return re.sub(r"(?<=\S) {2,}", "  ", line)


def _pattern(line: str) -> str:
    return _normalize(line).replace("[", "[[]").replace("...", "*")


class PytestProjectParser:
    """Finds the files, the pytest runs and the written files of a page."""

    def __call__(self, document: Document) -> Iterable[Region]:
        """Yield one example for each console block, each written file, and each file that nothing runs.

        Args:
            document: the page.
        """
        files: dict[str, str] = {}
        not_run: dict[str, FencedBlock] = {}
        commands: tuple[Command, ...] = ()
        position = 0
        for block in fenced_blocks(document):
            if _NEW_PROJECT.search(document.text, position, block.start):
                files, commands = {}, ()
            position = block.end
            if block.directive == "file":
                files[block.argument] = block.source
                not_run[block.argument] = block
            elif block.language == "console" and block.source.startswith("$ pytest"):
                commands = parse_commands(block.source)
                yield block.region(_Run(tuple(files.items()), commands))
                not_run.clear()
            elif block.directive == "written":
                yield block.region(_Written(tuple(files.items()), commands, block))
        for block in not_run.values():
            yield block.region(lambda example: "no `$ pytest` block below runs this file")


class _Run:
    def __init__(self, files: tuple[tuple[str, str], ...], commands: tuple[Command, ...]) -> None:
        self._files = files
        self._commands = commands

    def __call__(self, example: Example) -> str | None:
        outcome = run_commands(self._files, tuple(command.arguments for command in self._commands))
        for command, output, exit_code in zip(
            self._commands, outcome.outputs, outcome.exit_codes, strict=True
        ):
            difference = find_difference(command.shown, output)
            if difference is not None:
                return difference
            if not command.shown and exit_code != 0:
                return f"pytest ended with {exit_code}:\n{output}"
        return None


class _Written:
    def __init__(
        self, files: tuple[tuple[str, str], ...], commands: tuple[Command, ...], block: FencedBlock
    ) -> None:
        self._files = files
        self._commands = commands
        self._block = block

    def __call__(self, example: Example) -> str | None:
        outcome = run_commands(self._files, tuple(command.arguments for command in self._commands))
        text = outcome.written.get(self._block.argument)
        if text is None:
            return f"the commands above wrote {sorted(outcome.written)}, not {self._block.argument}"
        return find_difference(self._block.source.splitlines(), text)
