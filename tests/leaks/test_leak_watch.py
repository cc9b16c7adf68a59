"""Expected leaks: which findings they take, and what is said about one that was not there."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_uno import leaks
from pytest_uno.leaks import LeakWatch
from pytest_uno.leaks.ignored_objects import IgnoredObjects
from pytest_uno.leaks.model import Finding, Frame, OwnerInfo

HERE = Path(__file__).relative_to(Path(__file__).parents[2]).as_posix()
OWNER = OwnerInfo("test", "test_it", "function")


def test_names_of_the_package() -> None:
    assert set(leaks.__all__) <= set(dir(leaks))
    for name in leaks.__all__:
        assert getattr(leaks, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Leak'"):
        leaks.Leak  # noqa: B018


def find(
    rule: str = "UNO101",
    subject: str = "task 'poll' running poll()",
    *,
    line: int = 1,
    function: str = "start",
    details: str = "",
) -> Finding:
    created = (Frame(HERE, line, function, "", in_app=True),)
    return Finding(rule, subject, "poll", created, (), None, OWNER, details)


@pytest.fixture
def watch() -> LeakWatch:
    return LeakWatch(lambda: [find("UNO104", "so far")], IgnoredObjects())


@pytest.mark.parametrize(
    ("rule", "match", "taken"),
    [
        ("UNO101", None, True),
        ("UNO1xx", None, True),
        ("UNO101", r"'p.ll'", True),
        ("UNO101", "^task", True),
        ("UNO101", "in the details", True),
        ("UNO101", "elsewhere", False),
        ("UNO102", None, False),
        ("UNO2xx", None, False),
    ],
)
def test_rule_and_match(watch: LeakWatch, rule: str, match: str | None, taken: bool) -> None:
    watch.expect(rule, match=match)
    finding = find(details="in the details")
    left, missing = watch.judge([finding])
    assert left == ([] if taken else [finding])
    assert len(missing) == (not taken)
    assert watch.findings == (finding,)


def test_one_expectation_takes_all_and_several_take_the_same(watch: LeakWatch) -> None:
    watch.expect("UNO101")
    watch.expect("UNO1xx")
    assert watch.judge([find(), find()]) == ([], [])


def test_each_that_is_not_met_is_missing(watch: LeakWatch) -> None:
    line = _here() + 1
    watch.expect("UNO101", match="other")
    watch.expect("UNO203")
    left, missing = watch.judge([find()])
    assert len(left) == 1
    first, second = missing
    assert first.startswith(
        f"{__file__}:{line}: a leak UNO101 that matches 'other' was expected, and there was none\n"
    )
    assert "found instead: UNO101 task 'poll' running poll()" in first
    assert "a leak UNO203 was expected" in second
    assert "nothing of this rule was left when the test ended" in second
    assert "#expected-leak-missing" in second


def test_findings_so_far(watch: LeakWatch) -> None:
    assert [finding.subject for finding in watch.findings] == ["so far"]


@pytest.mark.parametrize("rule", ["UNO1O1", "UNO999", "pending-task"])
def test_unknown_rule(watch: LeakWatch, rule: str) -> None:
    with pytest.raises(
        ValueError, match=f"no such rule(.|\n)*unknown rule '{rule}'(.|\n)*#expected-leak-unknown"
    ):
        watch.expect(rule)


def test_bad_pattern(watch: LeakWatch) -> None:
    with pytest.raises(re.error):
        watch.expect("UNO101", match="(")


def _here() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


class TestBlock:
    """A block is about what its lines make, and about what is made outside of its function."""

    def test_lines_of_the_block(self, watch: LeakWatch) -> None:
        name = "TestBlock.test_lines_of_the_block"
        before = _here()
        with contextlib.nullcontext(), watch.expect("UNO101"):
            first = _here()
            last = _here()
        after = _here()
        for line, is_left in ((before, True), (first, False), (last, False), (after, True)):
            finding = find(line=line, function=name)
            left, missing = watch.judge([finding])
            assert bool(left) == is_left
            assert [text for text in missing if "it was made outside of the block" in text] == missing
            assert len(missing) == is_left

    def test_inner_function_and_plain_name(self, watch: LeakWatch) -> None:
        def make() -> int:
            return _here()

        with watch.expect("UNO101"):
            line = make()
        outside = find(line=line, function="test_inner_function_and_plain_name")
        assert watch.judge([outside])[0] == [outside]
        assert watch.judge([find(line=line, function=make.__qualname__)])[0] == []

    def test_place_of_the_test_itself_is_no_trace(self, watch: LeakWatch) -> None:
        with watch.expect("UNO101"):
            pass
        line = inspect.getsourcelines(type(self).test_place_of_the_test_itself_is_no_trace)[1]
        name = "test_place_of_the_test_itself_is_no_trace"
        assert watch.judge([find(line=line, function=name)])[0] == []

    def test_same_lines_of_another_file(self, watch: LeakWatch) -> None:
        with watch.expect("UNO101"):
            pass
        frame = Frame("other.py", _here(), "TestBlock.test_same_lines_of_another_file", "", in_app=True)
        finding = Finding("UNO101", "a task", "poll", (frame,), (), None, OWNER)
        assert watch.judge([finding])[0] == []

    def test_an_exception_passes(self, watch: LeakWatch) -> None:
        with pytest.raises(KeyError), watch.expect("UNO101"):
            raise KeyError
        assert watch.judge([find()]) == ([], [])

    def test_on_an_exit_stack_it_is_the_whole_function(self, watch: LeakWatch) -> None:
        name = "TestBlock.test_on_an_exit_stack_it_is_the_whole_function"
        stack = contextlib.ExitStack()
        stack.enter_context(watch.expect("UNO101"))
        stack.close()
        assert watch.judge([find(line=_here(), function=name)])[0] == []

    def test_without_source_it_is_the_whole_function(self, watch: LeakWatch) -> None:
        space: dict[str, Callable[[LeakWatch], None]] = {}
        source = "def run(watch):\n    with watch.expect('UNO101'):\n        pass\n    pass\n"
        exec(compile(source, "<made>", "exec"), space)
        space["run"](watch)
        frame = Frame("<made>", 4, "run", "", in_app=False)
        finding = Finding("UNO101", "a task", "poll", (frame,), (), None, OWNER)
        assert watch.judge([finding])[0] == []

    def test_source_that_has_changed_is_the_whole_function(self, watch: LeakWatch, tmp_path: Path) -> None:
        path = tmp_path / "changed.py"
        path.write_text("def run(:\n")
        space: dict[str, Callable[[LeakWatch], None]] = {}
        source = "def run(watch):\n    with watch.expect('UNO101'):\n        pass\n    pass\n"
        exec(compile(source, str(path), "exec"), space)
        space["run"](watch)
        frame = Frame(path.as_posix(), 4, "run", "", in_app=False)
        finding = Finding("UNO101", "a task", "poll", (frame,), (), None, OWNER)
        assert watch.judge([finding])[0] == []
