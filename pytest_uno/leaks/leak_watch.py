"""What a test says about its own leaks: which are expected, and which objects are none.

A test about leaking code leaks, and is right to. What it expects is judged when everything is: after the test's
function-scoped fixtures are gone. Until then nobody knows what is a leak, so a block cannot be judged at its own end;
what it can do is say where its leaks are made.
"""

from __future__ import annotations

import ast
import linecache
import re
import sys
import types
from collections.abc import Callable, Iterable, Sequence

from pytest_uno.core.errors import compose_message
from pytest_uno.leaks.ignored_objects import IgnoredObjects
from pytest_uno.leaks.model import Finding, Frame
from pytest_uno.leaks.policy import covers, find_pattern_problem

__all__ = ["ExpectedLeak", "LeakWatch"]

_getframe = sys._getframe  # pyright: ignore[reportPrivateUsage]  (documented, if only for CPython)


class ExpectedLeak:
    """A leak that a test expects; in force from its making, and limited to a block where it is used in `with`."""

    def __init__(self, rule: str, match: str | None, caller: types.FrameType) -> None:
        self._rule = rule
        self._match = None if match is None else re.compile(match)
        self._code = caller.f_code
        self._line = caller.f_lineno
        self._is_block = False

    def __enter__(self) -> ExpectedLeak:
        self._is_block = True
        return self

    def __exit__(self, *error: object) -> None:
        """Leave an exception alone: the leak is expected all the same."""

    def takes(self, finding: Finding) -> bool:
        """Say whether a finding is what is expected.

        Args:
            finding: the finding.
        """
        return self._is_of_kind(finding) and self._is_made_here(finding.created)

    def describe_absence(self, findings: Iterable[Finding]) -> str:
        """Say that the leak was not found, and what was.

        Args:
            findings: everything that was found.
        """
        wanted = f"a leak {self._rule}"
        if self._match is not None:
            wanted += f" that matches {self._match.pattern!r}"
        alike = [finding for finding in findings if covers(self._rule, finding.rule)]
        cause = "nothing of this rule was left when the test ended"
        if any(self._is_of_kind(finding) for finding in alike):
            cause = "it was made outside of the block"
        elif alike:
            cause = "found instead: " + "; ".join(f"{each.rule} {each.subject}" for each in alike)
        return compose_message(
            f"{self._code.co_filename}:{self._line}: {wanted} was expected, and there was none",
            cause=cause,
            fix="let the code in the block leak, or remove uno_leaks.expect()",
            anchor="expected-leak-missing",
        )

    def _is_of_kind(self, finding: Finding) -> bool:
        if not covers(self._rule, finding.rule):
            return False
        return self._match is None or bool(self._match.search(f"{finding.subject}\n{finding.details}"))

    def _is_made_here(self, created: Sequence[Frame]) -> bool:
        """Say whether a place of creation is in the block; what does not pass through its function may be."""
        if not self._is_block:
            return True
        lines = [frame.line for frame in created if self._is_in_function(frame)]
        if not lines:
            return True
        block = _find_block(self._code.co_filename, self._line)
        return block is None or any(line in block for line in lines)

    def _is_in_function(self, frame: Frame) -> bool:
        code = self._code
        last = max(line or 0 for _, _, line in code.co_lines())
        # The first line is what a finding names that has left no trace of its creation.
        return (
            code.co_firstlineno < frame.line <= last
            and frame.function in (code.co_qualname, code.co_name)
            and f"/{code.co_filename}".replace("\\", "/").endswith(f"/{frame.file.lstrip('/')}")
        )


class LeakWatch:
    """What the fixture `uno_leaks` hands out.

    Args:
        found_so_far: returns what is recorded of the test before it is judged.
        ignored: takes the objects that nobody is to report.
    """

    def __init__(self, found_so_far: Callable[[], list[Finding]], ignored: IgnoredObjects) -> None:
        self._found_so_far = found_so_far
        self._ignored = ignored
        self._expected: list[ExpectedLeak] = []
        self._findings: tuple[Finding, ...] | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found for this test, in the order in which it was.

        While the test runs, that is what came up by itself: a dropped coroutine, an exception in a callback. What is
        merely left open is found when the test ends; after that this is everything, the expected leaks as well.
        """
        return tuple(self._found_so_far()) if self._findings is None else self._findings

    def expect(self, rule: str, *, match: str | None = None) -> ExpectedLeak:
        """Expect one or more leaks: they are not reported, and it is a failure if there is none.

        In a `with` statement it is about what its block makes, or what is made outside of the block's function while
        the test runs; called alone, about the whole test. Judged when the test ends, after its fixtures.

        Args:
            rule: a code as "UNO101", or a family as "UNO1xx".
            match: a regular expression that is searched in the subject of the finding and in its details.

        Raises:
            ValueError: there is no such rule.
            re.error: `match` is no regular expression.

        Example:
            async def test_poller_leaks(uno_leaks):
                with uno_leaks.expect("UNO101", match="poll"):
                    start_poller()
        """
        problem = find_pattern_problem(rule)
        if problem is not None:
            raise ValueError(
                compose_message(
                    f"uno_leaks.expect({rule!r}): no such rule",
                    fix=problem,
                    anchor="expected-leak-unknown",
                )
            )
        expected = ExpectedLeak(rule, match, _getframe(1))
        self._expected.append(expected)
        return expected

    def ignore(self, thing: object) -> None:
        """Never report an object, in this test or later; it is kept until the run ends.

        Args:
            thing: the task, timer, socket or whatever else would be reported.
        """
        self._ignored.add(thing)

    def judge(self, findings: Sequence[Finding]) -> tuple[list[Finding], list[str]]:
        """Take out what is expected; must be called once, when the test is judged.

        Args:
            findings: everything that was found.

        Returns:
            What is left, and for each expectation that nothing met, what to say about it.
        """
        self._findings = tuple(findings)
        left: list[Finding] = []
        met: set[ExpectedLeak] = set()
        for finding in findings:
            takers = [expected for expected in self._expected if expected.takes(finding)]
            met.update(takers)
            if not takers:
                left.append(finding)
        return left, [each.describe_absence(findings) for each in self._expected if each not in met]


def _find_block(file: str, line: int) -> range | None:
    """Find the lines of the `with` statement that an expression at a line belongs to; None if there is none."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return None
    blocks = [
        range(node.lineno, (node.end_lineno or node.lineno) + 1)
        for node in ast.walk(tree)
        if isinstance(node, ast.With | ast.AsyncWith)
        for item in node.items
        if item.context_expr.lineno <= line <= (item.context_expr.end_lineno or line)
    ]
    return min(blocks, key=len, default=None)
