"""Findings become outcomes: a leak of the test is one FAILED of that test.

The check can only run when the test's fixtures are gone, in the teardown phase. pytest has logged the call as passed
by then, and an exception would show as "1 passed, 1 error". So a clean call report is held until the teardown is over
and, if the test leaked, made again as if the call had raised. Made again through pytest's own hook, so that xfail
(strict, too), reruns and report recipes see what they always see. A leak of a fixture stays an error at teardown,
under the fixture's name.
"""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from pytest_uno.core.errors import UnoLeakWarning
from pytest_uno.harness.exploration_summary import EXPLORATION
from pytest_uno.harness.leak_policy import Decision, LeakPolicy
from pytest_uno.harness.pytest_internals import Failed, make_call_info, protocol_implementers, run_test_phases
from pytest_uno.harness.run_state import TestRun, is_uno_test, options_of
from pytest_uno.leaks.model import Finding, OwnerInfo

if TYPE_CHECKING:
    from pytest_uno.leaks.allowances import Allowances
    from pytest_uno.leaks.policy import LeakLevels

__all__ = ["LeakError", "MissingLeakError", "Verdicts"]


def _render(finding: Finding, *, with_owner: bool = False) -> str:
    from pytest_uno.reports.terminal import render_finding  # a clean run need not load the reports

    return render_finding(finding, with_owner=with_owner)


class LeakError(Failed):
    """A test or a fixture left something behind."""

    __module__ = "builtins"  # pytest shows `LeakError: ...`, without a module path

    def __init__(
        self, findings: Sequence[Finding], *, with_owner: bool = False, missing: Sequence[str] = ()
    ) -> None:
        texts = [*missing, *(_render(finding, with_owner=with_owner) for finding in findings)]
        super().__init__("\n\n".join(texts), pytrace=False)
        from pytest_uno.reports.terminal import render_headline

        self.headline = missing[0].partition("\n")[0] if missing else render_headline(findings)
        """What the short test summary and the message of JUnit say."""
        self.findings = tuple(findings)


class MissingLeakError(Failed):
    """A test expected a leak, and there was none."""

    __module__ = "builtins"

    def __init__(self, text: str) -> None:
        super().__init__(text, pytrace=False)


class _CallReport:
    """The report of an item's call phase, until the teardown is over."""

    __slots__ = ("is_clean", "report")

    def __init__(self, report: pytest.TestReport, *, is_clean: bool) -> None:
        self.report = report
        self.is_clean = is_clean


_CALL: pytest.StashKey[_CallReport] = pytest.StashKey()
_HELD: pytest.StashKey[list[pytest.TestReport]] = pytest.StashKey()
_LEAKS: pytest.StashKey[list[dict[str, Any]]] = pytest.StashKey()
_OF_ATTEMPT: tuple[pytest.StashKey[Any], ...] = (_CALL, _LEAKS)
_FOLDING: pytest.StashKey[bool] = pytest.StashKey()
_NEW = Decision("new")
_NO_LEAKS: Sequence[dict[str, Any]] = ()
"""What the report of a clean test carries: one object for all of them."""


class Verdicts:
    """The plugin object that decides outcomes."""

    def __init__(self, policy: LeakPolicy) -> None:
        self._policy = policy
        self._last_logged: pytest.TestReport | None = None

    # -- when reports are logged
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> object:
        """Run the three phases of a uno test and log its reports, a clean call's after the teardown."""
        if not is_uno_test(item):
            return None
        hooks = item.ihook  # a look-up by the item's path, each time
        for other in protocol_implementers(hooks, self):  # pytest-rerunfailures and its like: theirs first
            arguments = {"item": item, "nextitem": nextitem}
            taken = other.function(*(arguments[name] for name in other.argnames))
            if taken is not None:
                return taken
        hooks.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        held: list[pytest.TestReport] = []
        item.stash[_HELD] = held
        try:
            run_test_phases(item, nextitem)
        finally:
            del item.stash[_HELD]
            for report in held:
                hooks.pytest_runtest_logreport(report=report)
        hooks.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Log each report when pytest would, but hold a clean call's; leaks travel on a report as plain JSON."""
        report = yield
        if call.excinfo is not None and isinstance(call.excinfo.value, LeakError):
            _put_headline(report, call.excinfo.value.headline)
        if _FOLDING in item.stash:
            return report
        if not is_uno_test(item):
            if call.when == "teardown" and _LEAKS in item.stash:  # of a wider fixture whose last test it is
                self._attach_all(item, report)
                del item.stash[_LEAKS]
            return report
        if call.when == "setup":
            for of_last_attempt in _OF_ATTEMPT:
                if of_last_attempt in item.stash:
                    del item.stash[of_last_attempt]
        elif call.when == "call":
            item.stash[_CALL] = _CallReport(report, is_clean=call.excinfo is None)
        else:
            self._attach_all(item, report)
            # Items and reports live until the end of the run: what hangs on them costs each collection of garbage.
            if _CALL in item.stash:
                del item.stash[_CALL]
        held = item.stash.get(_HELD, None)
        if held is not None:
            if held or (call.when == "call" and call.excinfo is None):
                held.append(report)
            else:
                item.ihook.pytest_runtest_logreport(report=report)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember what was logged last: a logged report cannot be changed any more."""
        self._last_logged = report

    # -- what a test or a fixture left
    def judge_test(
        self, test: TestRun, findings: Sequence[Finding], missing: Sequence[str], error: Exception | None
    ) -> None:
        """Give a test its verdict; must be called in its teardown phase.

        Args:
            test: the test.
            findings: what was found when it ended, and was not expected.
            missing: what to say about each leak that was expected and not found.
            error: what the shutdown of its manager raised.

        Raises:
            LeakError: a function-scoped fixture or an earlier test leaked, or the call's report is out of reach.
            MissingLeakError: something is `missing`, and the call's report is out of reach.
            Exception: `error`, when the call's report is out of reach.
        """
        item, call = test.item, test.item.stash.get(_CALL, None)
        findings = self.settle(item, test.options.leak_levels, findings, test.options.allowances)
        if call is None or not call.is_clean:  # it failed or was skipped: no second verdict, nothing missed
            if findings:
                item.add_report_section("teardown", "leaks", str(LeakError(findings)))
                _attach(item, findings)
            if error is not None:
                item.add_report_section("teardown", "manager", "".join(traceback.format_exception(error)))
            return
        if not findings and not missing and error is None:
            return
        me = OwnerInfo.of(test.owner)
        own = [finding for finding in findings if finding.owner == me]
        of_others = [finding for finding in findings if finding.owner != me]
        failure = self.combine(own, missing, error)
        if failure is not None:
            if self._last_logged is call.report:
                _attach(item, own)
                raise failure
            self._fail_call(item, call.report, failure, own)
        if of_others:
            _attach(item, of_others)
            raise LeakError(of_others, with_owner=True)

    def judge_fixtures(self, item: pytest.Item, levels: LeakLevels, findings: Sequence[Finding]) -> None:
        """Blame wider fixtures at the end of their scope, in the teardown phase of the last test.

        Raises:
            LeakError: there is something to blame, at level `error`.
        """
        findings = self.settle(item, levels, findings)
        if findings:
            _attach(item, findings)
            raise LeakError(findings, with_owner=True)

    def fails_test(self, test: TestRun, finding: Finding) -> bool:
        """Say whether a finding would fail a test: it may be off, allowed, known, or a warning only.

        Args:
            test: the test.
            finding: the finding.
        """
        options = test.options
        decision = self._policy.decide(test.item, finding, options.leak_levels, options.allowances)
        return decision is not None and decision.status == "new"

    def settle(
        self,
        item: pytest.Item,
        levels: LeakLevels,
        findings: Sequence[Finding],
        of_marker: Allowances = (),
    ) -> Sequence[Finding]:
        """Attach what does not fail a test, warn of what is at level `warn`; return what does fail it.

        Args:
            item: the test.
            levels: its levels.
            findings: what was found.
            of_marker: what its marker allows.
        """
        if not findings:
            return findings
        new: list[Finding] = []
        for finding in findings:
            decision = self._policy.decide(item, finding, levels, of_marker)
            if decision is None:
                continue
            if decision.status == "new":
                new.append(finding)
                continue
            _attach(item, [finding], decision)
            if decision.level == "warn":
                with warnings.catch_warnings():
                    warnings.simplefilter("always", UnoLeakWarning)
                    item.warn(UnoLeakWarning(_render(finding)))
        return new

    @staticmethod
    def attach(item: pytest.Item, findings: Sequence[Finding]) -> None:
        """Let leaks that fail a test travel on its report.

        Args:
            item: the test.
            findings: the leaks.
        """
        _attach(item, findings)

    @staticmethod
    def combine(
        findings: Sequence[Finding], missing: Sequence[str], error: Exception | None
    ) -> BaseException | None:
        """Make one exception of all that is wrong with the end of a test; None if nothing is.

        Args:
            findings: leaks that fail it.
            missing: what to say about each leak that was expected and not found.
            error: what the shutdown of its manager raised.
        """
        if not findings and not missing:
            return error
        leak = LeakError(findings, missing=missing) if findings else MissingLeakError("\n\n".join(missing))
        if error is None:
            return leak
        what = "left something behind" if findings else "did not leak as expected"
        return BaseExceptionGroup(f"the test {what}, and its manager failed to shut down", [leak, error])

    def _attach_all(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Put on a report what was found, which patterns allow that, and what the test does not look at."""
        # Also when there is none: the collector counts the tests that were judged.
        report.uno_leaks = item.stash.get(_LEAKS, _NO_LEAKS)  # type: ignore[attr-defined]
        options, call = options_of(item) if is_uno_test(item) else None, item.stash.get(_CALL, None)
        uses = self._policy.describe_uses(item, options, is_judged=call is not None and call.is_clean)
        explored = item.stash.get(EXPLORATION, None)
        if explored is not None:
            report.uno_explored = explored._asdict()  # type: ignore[attr-defined]
        if uses:
            report.uno_allowances = uses  # type: ignore[attr-defined]
        unwatched = [] if options is None else self._policy.find_unwatched(options.leak_levels)
        if unwatched:
            report.uno_unwatched = unwatched  # type: ignore[attr-defined]

    def _fail_call(
        self,
        item: pytest.Item,
        report: pytest.TestReport,
        failure: BaseException,
        findings: Sequence[Finding],
    ) -> None:
        """Make the call's report again, as if the call had raised; whoever holds the report sees the change."""
        try:
            raise failure
        except BaseException:
            excinfo = pytest.ExceptionInfo.from_current()
        item.stash[_FOLDING] = True
        try:
            made = item.ihook.pytest_runtest_makereport(item=item, call=make_call_info(excinfo, report))
        finally:
            del item.stash[_FOLDING]
        made.sections = report.sections
        report.__dict__.clear()
        report.__dict__.update(made.__dict__)
        report.uno_leaks = [_as_plain_data(finding) for finding in findings]  # type: ignore[attr-defined]


def _put_headline(report: pytest.TestReport, headline: str) -> None:
    """Make the message of a report one line; its text stays whole."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        crash.message = headline


def _as_plain_data(finding: Finding, decision: Decision = _NEW) -> dict[str, Any]:
    return {**decision._asdict(), "finding": finding.to_json()}


def _attach(item: pytest.Item, findings: Sequence[Finding], decision: Decision = _NEW) -> None:
    item.stash.setdefault(_LEAKS, []).extend(_as_plain_data(finding, decision) for finding in findings)
