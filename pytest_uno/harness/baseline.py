"""The controller's side of the baseline: read and checked before the first test, written after the last."""

from __future__ import annotations

import errno
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_uno.core.errors import compose_message
from pytest_uno.core.paused_collections import collections_paused
from pytest_uno.harness.attempts import LastAttempts
from pytest_uno.harness.leak_policy import KNOWN_LEAKS, WORKER_KEY, Everything
from pytest_uno.harness.report_files import check_writable, write_whole
from pytest_uno.harness.settings import SETTINGS
from pytest_uno.leaks.model import Finding

if TYPE_CHECKING:
    from collections.abc import Container

    from pytest_uno.harness.run_scope import RunScope
    from pytest_uno.reports.baseline import Baseline, Entry
    from pytest_uno.reports.groups import Found
    from pytest_uno.reports.policy_summary import BaselineNews

__all__ = ["BaselineKeeper"]


class BaselineKeeper:
    """The plugin object that reads the baseline, compares and writes it.

    Args:
        config: the configuration of the run.
        scope: what the run has looked at.
        path: the file.
    """

    def __init__(self, config: pytest.Config, scope: RunScope, path: Path) -> None:
        self._config = config
        self._settings = config.stash[SETTINGS]
        self._writes = self._settings.leak_policy.writes_baseline
        self._scope = scope
        self._attempts = LastAttempts()
        self._path = Path(os.path.abspath(path))
        self._name = _shown(self._path, config.invocation_params.dir)
        self._baseline: Baseline | None = None
        self._text: str | None = None
        self._found: list[Found] = []
        self._passed: set[str] = set()
        self._failed: set[str] = set()
        self._unwatched: dict[str, Container[str]] = {}
        self._judged: set[str] = set()
        self.news: BaselineNews | None = None
        """What there is to say of it after the run."""
        self.problem: str | None = None
        """Why it could not be written."""

    # -- before the first test
    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Read the file, or see that it can be written; before pytest-xdist starts its workers.

        Raises:
            pytest.UsageError: it cannot be used.
        """
        self._text = self._read()
        self._baseline = self._parse(self._text)
        if self._writes and not self._config.option.collectonly:
            try:
                check_writable(self._path)
            except OSError as error:
                raise pytest.UsageError(self._describe_unwritable(error)) from error
        self._config.stash[KNOWN_LEAKS] = Everything() if self._writes else self._baseline.fingerprints

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of pytest-xdist what is known: it never reads the file."""
        known = None if self._writes or self._baseline is None else sorted(self._baseline.fingerprints)
        node.workerinput[WORKER_KEY] = known

    def _read(self) -> str | None:
        try:
            if self._path.is_dir():  # not every system says so itself
                raise IsADirectoryError(errno.EISDIR, "it is a folder")
            return self._path.read_bytes().decode("utf-8")
        except FileNotFoundError:
            if self._writes:
                return None
            what = "there is no such file"
            fix = f"write it: pytest --uno-leak-baseline={shlex.quote(self._name)} --uno-leak-baseline-write"
        except UnicodeDecodeError as error:
            what, fix = f"it is not text in UTF-8: {error.reason}", "take it from version control"
        except OSError as error:
            what, fix = error.strerror or str(error), "name a file that can be read, as leaks-baseline.json"
        raise pytest.UsageError(
            compose_message(f"cannot read the baseline {self._path}: {what}", fix=fix, anchor="bad-baseline")
        )

    def _parse(self, text: str | None) -> Baseline:
        from pytest_uno.reports.baseline import Baseline, BaselineError, parse

        if text is None:
            return Baseline()
        try:
            baseline = parse(text, str(self._path))
        except BaselineError as error:
            raise pytest.UsageError(str(error)) from None
        root = self._config.rootpath
        own_files = frozenset[str]().union(*(entry.own_files for entry in baseline.entries))
        if (
            own_files
            and baseline.project != root.name
            and not any((root / file).exists() for file in own_files)
        ):
            raise pytest.UsageError(
                compose_message(
                    f"the baseline {self._path} belongs to another project: none of its files is below {root}",
                    cause=f"it was written for {baseline.project!r}" if baseline.project else None,
                    fix="name the baseline of this project, or delete the file and run with "
                    "--uno-leak-baseline-write",
                    anchor="bad-baseline",
                )
            )
        return baseline

    # -- what the tests report
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the known leaks of a report, and which tests were judged."""
        if not self._attempts.count(report):
            return
        if report.failed:
            self._failed.add(report.nodeid)
        elif report.when == "call" and report.passed:
            self._passed.add(report.nodeid)
        leaks: list[dict[str, Any]] | None = getattr(report, "uno_leaks", None)
        if leaks is None:
            return
        self._judged.add(report.nodeid)
        unwatched = getattr(report, "uno_unwatched", None)
        if unwatched:
            self._unwatched[report.nodeid] = unwatched
        for leak in leaks:
            if leak["status"] == "baseline":
                from pytest_uno.reports.groups import Found

                self._found.append(
                    Found(Finding.from_json(leak["finding"]), report.nodeid, status="baseline")
                )

    # -- after the last one
    @pytest.hookimpl(tryfirst=True)
    @collections_paused()
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Compare, and write the file if that is asked for."""
        if self._baseline is None or self._config.option.collectonly:
            return
        from pytest_uno.reports.baseline import merge
        from pytest_uno.reports.groups import group_findings
        from pytest_uno.reports.policy_summary import BaselineNews

        known, before = group_findings(self._found), self._baseline
        seen = {group.fingerprint for group in known}
        unseen = [entry for entry in before.entries if entry.fingerprint not in seen]
        is_complete = self._scope.is_complete(session)
        gone = [entry for entry in unseen if is_complete and self._is_gone(entry)]
        if not self._writes:
            self.news = BaselineNews(self._name, known, gone)
            return
        after = merge(before, known, (entry.fingerprint for entry in gone))
        if self._write(session, after):
            self.news = BaselineNews(
                self._name,
                known,
                gone,
                was_written=True,
                added=len(seen - before.fingerprints),
                unjudged=len(unseen) - len(gone),
                total=len(after.entries),
            )

    def _is_gone(self, entry: Entry) -> bool:
        """Tell whether every test in which a leak was seen has ended without it, or does not exist any more."""
        return all(
            self._was_judged(test, entry.rule) or self._scope.exists(test) is False for test in entry.tests
        )

    def _was_judged(self, test: str, rule: str) -> bool:
        if test not in self._passed or test in self._failed:
            return False
        if test in self._judged:
            return rule not in self._unwatched.get(test, ())
        # A test that is not ours, with which a wider fixture has ended.
        return rule not in self._settings.leak_levels.unwatched

    def _write(self, session: pytest.Session, baseline: Baseline) -> bool:
        from pytest_uno.reports.baseline import render

        text = render(baseline, self._config.rootpath.name)
        ended_early = session.exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        if text == self._text or (self._text is None and ended_early and not baseline.entries):
            return text == self._text
        try:
            write_whole(self._path, text)
        except OSError as error:
            self.problem = self._describe_unwritable(error)
            session.exitstatus = session.exitstatus or pytest.ExitCode.USAGE_ERROR
            return False
        return True

    def _describe_unwritable(self, error: OSError) -> str:
        return compose_message(
            f"cannot write the baseline {self._path}: {error.strerror or error}",
            fix="name a file that can be written: --uno-leak-baseline FILE",
            anchor="bad-baseline",
        )


def _shown(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
