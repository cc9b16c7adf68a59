"""Python examples in Markdown pages, and doctest examples in docstrings, as tests.

The blocks of a page share a namespace and may `await` outside a function; such a block is the body of one
`asyncio.run`. A block that is run alone, or on another worker than its predecessors, first runs those it
follows, so that the order in which tests run never matters.
"""

from __future__ import annotations

import ast
import asyncio
import doctest
import importlib
import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sybil import Document, Example, Region
from sybil.document import PythonDocStringDocument
from sybil.example import NotEvaluated

from tests.documentation.fenced_blocks import FencedBlock, fenced_blocks

__all__ = ["DocstringDocument", "DocstringParser", "PythonBlockParser", "run_block"]

_HAS_RUN = "__blocks_that_have_run__"


def run_block(source: str, namespace: dict[str, Any], *, path: str, line: int) -> None:
    """Run one block in the page's namespace, under `asyncio.run` if it awaits.

    Args:
        source: the block.
        namespace: the page's names; the block's are added.
        path: the page, for tracebacks.
        line: the line of the page on which the block begins, counted from 1.
    """
    padding = "\n" * (line - 1)
    code = compile(padding + source, path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    namespace.setdefault("__name__", "__main__")
    result = eval(code, namespace)
    if inspect.iscoroutine(result):
        asyncio.run(result)


class PythonBlockParser:
    """Finds the Python blocks of a page that are not the files of a pytest project."""

    def __call__(self, document: Document) -> Iterable[Region]:
        """Yield one example for each Python block.

        Args:
            document: the page.
        """
        earlier: list[FencedBlock] = []
        for block in fenced_blocks(document):
            if block.language == "python" and block.directive in {"", "skip"}:
                yield block.region(_Sequence((*earlier, block)))
                if block.directive != "skip":
                    earlier.append(block)


class _Sequence:
    """Runs a block after those before it that have not run in this process."""

    def __init__(self, blocks: tuple[FencedBlock, ...]) -> None:
        self._blocks = blocks

    def __call__(self, example: Example) -> None:
        has_run: set[int] = example.namespace.setdefault(_HAS_RUN, set())
        for block in self._blocks:
            if block.start not in has_run:
                has_run.add(block.start)
                run_block(block.source, example.namespace, path=example.path, line=block.line)


class DocstringParser:
    """Finds the docstrings with doctest examples; those of one docstring are one example."""

    def __call__(self, document: Document) -> Iterable[Region]:
        """Yield an example if the docstring has any.

        Args:
            document: the docstring.
        """
        examples = doctest.DocTestParser().get_examples(document.text, document.path)
        if examples:
            yield Region(document.text.index(">>>"), len(document.text), examples, self._run)

    def _run(self, example: Example) -> str:
        failures: list[str] = []
        test = doctest.DocTest(example.parsed, example.namespace, example.path, example.path, 0, None)
        runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
        runner.run(test, out=failures.append)
        return "".join(failures)


class DocstringDocument(PythonDocStringDocument):
    """The docstrings of a module, whose examples see the module's names.

    The module is imported by its dotted name, so that the installed package is what the examples run.
    """

    def import_document(self, example: Example) -> None:
        """Import the module before its first example.

        Args:
            example: the first example.
        """
        path = Path(self.path)
        parts = [path.stem] if path.stem != "__init__" else []
        for parent in path.parents:
            if not (parent / "__init__.py").exists():
                break
            parts.insert(0, parent.name)
        self.namespace.update(vars(importlib.import_module(".".join(parts))))
        self.pop_evaluator(self.import_document)
        raise NotEvaluated
