"""What every test of the project has at hand, and the collector of the examples in the documentation."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings
from sybil import Sybil
from sybil.integration.pytest import SybilItem

_ROOT = Path(__file__).parent

# Plain `pytest` leaves the root off the path. It goes to the end: an installed package is what gets tested.
sys.path.append(str(_ROOT))

from tests.documentation.sybil_pytest_project import PytestProjectParser  # noqa: E402
from tests.documentation.sybil_python_blocks import (  # noqa: E402
    DocstringDocument,
    DocstringParser,
    PythonBlockParser,
)

pytest_plugins = ["pytester"]

settings.register_profile("nightly", max_examples=10_000, deadline=None)
if "HYPOTHESIS_PROFILE" in os.environ:  # an option --hypothesis-profile comes later and counts
    settings.load_profile(os.environ["HYPOTHESIS_PROFILE"])

_pages = Sybil(
    parsers=[PythonBlockParser(), PytestProjectParser()],
    path=str(_ROOT),
    # `**` stands for one directory before Python 3.13.
    patterns=["README.md", "docs/*.md", "docs/*/*.md", "docs/*/*/*.md"],
)
_docstrings = Sybil(
    parsers=[DocstringParser()],
    path=str(_ROOT),
    patterns=["pytest_uno/*.py", "pytest_uno/*/*.py"],
    document_types={".py": DocstringDocument},
)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let pytest show any error of an example.

    Sybil 10.1 cuts a traceback at its own frames and fails where there are none: the error of a hook, as for
    a warning of the garbage collector, or the cause of another error.
    """
    if isinstance(item, SybilItem):
        item._traceback_filter = lambda excinfo: excinfo.traceback  # type: ignore[method-assign]


pytest_collect_file = (_pages + _docstrings).pytest()


def pytest_collection_finish() -> None:
    """Take the modules out of the sight of the garbage collector, which the detectors call in every inner run."""
    gc.collect()
    gc.freeze()
