"""A small project for the plugin to run in."""

from __future__ import annotations

# The inner runs restore sys.modules afterwards: what is imported here stays, and is the same in every run.
import asyncio  # noqa: F401
import functools
import gc
import importlib.metadata
import json
import os
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import pytest_uno.database.run_databases
import pytest_uno.harness.async_fixtures
import pytest_uno.harness.explored_test
import pytest_uno.harness.runner
import pytest_uno.harness.scenario_exploration
import pytest_uno.harness.watchdog
import pytest_uno.reports.groups
import pytest_uno.reports.json_report
import pytest_uno.reports.terminal  # noqa: F401

INI = """
[pytest]
asyncio_default_fixture_loop_scope = function
addopts = --import-mode=importlib -p no:cacheprovider -p no:randomly
"""


class Project:
    """A project with one or more test files."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.ini("")

    def ini(self, lines: str) -> None:
        """Write the ini file with these lines added."""
        self.pytester.path.joinpath("pytest.ini").write_text(INI + textwrap.dedent(lines), encoding="utf-8")

    def file(self, name: str, source: str) -> Path:
        """Write a file."""
        path = self.pytester.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("import asyncio\nimport pytest\n" + textwrap.dedent(source), encoding="utf-8")
        return path

    def run(self, source: str | None = None, *args: str) -> pytest.RunResult:
        """Write test_it.py and run pytest on the project in this process."""
        if source is not None:
            self.file("test_it.py", source)
        return self.pytester.runpytest_inprocess(*args)

    def run_apart(self, source: str | None = None, *args: str) -> pytest.RunResult:
        """Write test_it.py and run pytest on the project in a process of its own."""
        if source is not None:
            self.file("test_it.py", source)
        return self.pytester.runpytest_subprocess(*args, timeout=120)

    def leaks(self, path: str = "leaks.json") -> list[dict[str, Any]]:
        """Read the leaks of the JSON report."""
        leaks: list[dict[str, Any]] = json.loads(self.pytester.path.joinpath(path).read_text("utf-8"))[
            "leaks"
        ]
        return leaks

    @staticmethod
    def lines_with(result: pytest.RunResult, *parts: str) -> Sequence[str]:
        """Return the printed lines that hold all the parts."""
        return [line for line in result.outlines if all(part in line for part in parts)]

    def outcomes(self, result: pytest.RunResult) -> dict[str, int]:
        """Return the outcomes without those that are zero."""
        return {name: count for name, count in result.parseoutcomes().items() if count}


class InstalledOnce(importlib.metadata.Distribution):
    """An installed distribution whose metadata is read once, not once in each inner run."""

    def __init__(self, installed: importlib.metadata.Distribution) -> None:
        self._installed = installed

    @functools.cached_property
    def metadata(self) -> Any:
        return self._installed.metadata

    @functools.cached_property
    def entry_points(self) -> Any:
        return self._installed.entry_points

    @functools.cached_property
    def files(self) -> Any:
        return self._installed.files

    def read_text(self, filename: str) -> str | None:
        return self._installed.read_text(filename)

    def locate_file(self, path: str | os.PathLike[str]) -> Any:
        return self._installed.locate_file(path)


@pytest.fixture(scope="session")
def plugins_under_test() -> list[InstalledOnce]:
    return [InstalledOnce(importlib.metadata.distribution(name)) for name in ("pytest-asyncio", "pytest-uno")]


@pytest.fixture
def all_plugins() -> None:
    """Ask for this where the inner runs need more plugins than pytest-asyncio and this one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Such runs are slow: most of them start workers."""
    for item in items:
        if "all_plugins" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def project(
    pytester: pytest.Pytester,
    request: pytest.FixtureRequest,
    plugins_under_test: list[InstalledOnce],
    monkeypatch: pytest.MonkeyPatch,
) -> Project:
    if "all_plugins" not in request.fixturenames:
        # A third of the time of an inner run went into finding and registering plugins that it has no use for.
        monkeypatch.setattr(importlib.metadata, "distributions", lambda: iter(plugins_under_test))
    return Project(pytester)


@pytest.fixture
def collected() -> Iterator[None]:
    """Collect what the modules of an inner run have kept: its warnings are nobody else's."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()
