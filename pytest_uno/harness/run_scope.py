"""What a run has looked at: whether it was the whole suite, and which tests there are.

Only a complete run can say that something is not there any more. With pytest-xdist the workers collect: each sends what
it knows to the controller when it ends, and a worker that does not is a crash.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["RunScope"]

_KEY = "uno_run_scope"
_ENDS_OF_COMPLETE_RUNS = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)


class RunScope:
    """The plugin object that follows collection, in every process of a run.

    Args:
        config: the configuration of the run.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._collected: set[str] = set()
        """The node IDs of the tests there are, run or not."""
        self._files: set[str] = set()
        """The test files that were collected."""
        self._skipped: set[str] = set()
        """Those of which a part was skipped at collection."""
        self._is_partial = False
        self._workers = 0

    def is_complete(self, session: pytest.Session) -> bool:
        """Tell whether the run has run every test that there is where it was told to look; must be asked at its end.

        Args:
            session: the session, with its exit status.
        """
        option = self._config.option
        return not (
            self._is_partial
            or self._workers
            or session.exitstatus not in _ENDS_OF_COMPLETE_RUNS
            or session.shouldstop
            or session.shouldfail
            or option.collectonly
            or any(getattr(option, name, False) for name in ("lf", "stepwise", "setuponly", "setupplan"))
            or self._folders() is None
        )

    def is_whole(self, session: pytest.Session) -> bool:
        """Tell whether the run was complete and nobody told it where to look; must be asked at its end.

        Args:
            session: the session, with its exit status.
        """
        root, folders = self._config.rootpath.resolve(), self._folders() or ()
        is_of_ini = self._config.args_source is pytest.Config.ArgsSource.TESTPATHS
        return self.is_complete(session) and (is_of_ini or any(map(root.is_relative_to, folders)))

    def exists(self, test: str) -> bool | None:
        """Tell whether there is such a test; None where the run has not looked.

        Args:
            test: its node ID.
        """
        if test in self._collected:
            return True
        file = test.partition("::")[0]
        path = (self._config.rootpath / file).resolve()
        if not any(path.is_relative_to(folder) for folder in self._folders() or ()):
            return None
        if not path.exists() or (file in self._files and file not in self._skipped):
            return False
        return None

    def _folders(self) -> Sequence[Path] | None:
        """Return the folders that were looked at, and what `testpaths` names; None where only parts of them were."""
        config = self._config
        is_of_ini = config.args_source is pytest.Config.ArgsSource.TESTPATHS
        paths = [config.invocation_params.dir / arg for arg in config.args]
        if not is_of_ini and not all("::" not in str(path) and path.is_dir() for path in paths):
            return None
        return [path.resolve() for path in paths]

    # -- collection, where it happens
    @pytest.hookimpl
    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Know that there is a test, whatever becomes of it."""
        self._collected.add(item.nodeid)

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Know which files were collected, and of which a part was left out."""
        file, *rest = report.nodeid.split("::")
        if report.failed:
            self._is_partial = True
        elif report.skipped:
            self._skipped.add(file)
        elif not rest and (self._config.rootpath / file).is_file():
            self._files.add(file)

    @pytest.hookimpl
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """See whether tests were left out: deselected, or without a word."""
        remaining = {item.nodeid for item in session.items}
        self._is_partial = self._is_partial or not self._collected <= remaining
        self._collected |= remaining

    @pytest.hookimpl
    def pytest_keyboard_interrupt(self) -> None:
        """Know that the run was broken off, also by `pytest.exit` with an exit status of its own."""
        self._is_partial = True

    # -- from the workers of pytest-xdist to the controller
    @pytest.hookimpl
    def pytest_sessionfinish(self) -> None:
        """Send from a worker what it knows."""
        output: dict[str, Any] | None = getattr(self._config, "workeroutput", None)
        if output is not None:
            output[_KEY] = {
                "collected": sorted(self._collected),
                "files": sorted(self._files),
                "skipped": sorted(self._skipped),
                "is_partial": self._is_partial,
            }

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self) -> None:
        """Expect to hear from a worker."""
        self._workers += 1

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take what a worker has sent; one that crashed has lost a test."""
        known: dict[str, Any] | None = getattr(node, "workeroutput", {}).get(_KEY)
        if error or known is None:
            self._is_partial = True
            return
        self._workers -= 1
        self._collected.update(known["collected"])
        self._files.update(known["files"])
        self._skipped.update(known["skipped"])
        self._is_partial = self._is_partial or known["is_partial"]
