"""The baseline in whole runs: what it lets pass, what is written, and what only a complete run may drop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("collected")

TWO = """
    pytestmark = pytest.mark.uno_async

    def start_poller():
        asyncio.create_task(asyncio.Event().wait(), name="poller")

    def start_timer():
        asyncio.get_running_loop().call_later(60, print)

    async def test_poller():
        {poller}
        await asyncio.sleep(0)

    async def test_timer():
        {timer}
"""
BOTH = TWO.format(poller="start_poller()", timer="start_timer()")
NO_TIMER = TWO.format(poller="start_poller()", timer="pass")
NONE = TWO.format(poller="pass", timer="pass")

FILE = "--uno-leak-baseline=known.json"
WRITE = (FILE, "--uno-leak-baseline-write")
GONE = "1 baseline entry was not seen any more: run with --uno-leak-baseline-write to drop it"


def rules(project: Any, path: str = "known.json") -> list[str]:
    return [leak["rule"] for leak in project.leaks(path)]


def read(project: Any) -> str:
    text: str = project.pytester.path.joinpath("known.json").read_text("utf-8")
    return text


@pytest.fixture
def known(project: Any) -> str:
    """A baseline with two leaks."""
    result = project.run(BOTH, *WRITE)
    assert project.outcomes(result) == {"passed": 2}
    return read(project)


def test_what_is_written_does_not_fail_the_next_run(project: Any) -> None:
    result = project.run(BOTH, *WRITE)
    assert result.ret == 0
    assert project.outcomes(result) == {"passed": 2}
    result.stdout.fnmatch_lines(["*= leak report =*", "baseline known.json: 2 known leaks, 2 added"])
    assert rules(project) == ["UNO101", "UNO203"]
    result = project.run(BOTH, FILE, "--uno-report=json:leaks.json")
    assert project.outcomes(result) == {"passed": 2}
    result.stdout.fnmatch_lines(
        ["*= leak report =*", "2 known leaks in known.json did not fail the run (-rL lists them)"]
    )
    assert [leak["status"] for leak in project.leaks()] == ["baseline", "baseline"]
    assert "not seen any more" not in result.stdout.str()


def test_a_new_leak_fails_beside_known_ones(project: Any) -> None:
    project.run(NO_TIMER, *WRITE)
    result = project.run(BOTH, FILE)
    assert project.outcomes(result) == {"passed": 1, "failed": 1}
    result.stdout.fnmatch_lines(["1 known leak in known.json did not fail the run*"])
    result = project.run(BOTH, *WRITE)
    assert project.outcomes(result) == {"passed": 2}
    assert rules(project) == ["UNO101", "UNO203"]


@pytest.mark.parametrize(
    ("flag", "is_listed"), [("-rL", True), ("-rfL", True), ("-rA", False), ("-ra", False)]
)
def test_only_their_own_letter_lists_known_leaks(
    project: Any, known: str, flag: str, is_listed: bool
) -> None:
    result = project.run(NO_TIMER, FILE, flag)
    text = result.stdout.str()
    assert ("known: UNO101 test_it.py:7 in start_poller: task 'poller' running" in text) is is_listed
    assert ("gone: UNO203 test_it.py in start_timer (" in text) is is_listed
    assert ("(-rL lists them)" in text) is not is_listed


def test_without_any_leak_there_is_nothing_to_say(project: Any) -> None:
    project.run(NONE, *WRITE)
    assert rules(project) == []
    result = project.run(NONE, FILE)
    assert "leak report" not in result.stdout.str()


def test_warnings_become_known_as_well(project: Any) -> None:
    project.ini("uno_leaks = warn")
    result = project.run(BOTH, *WRITE)
    assert project.outcomes(result) == {"passed": 2}
    result = project.run(BOTH, FILE)
    assert project.outcomes(result) == {"passed": 2}
    project.ini("")
    assert project.outcomes(project.run(BOTH, FILE)) == {"passed": 2}


def test_what_is_off_does_not_become_known(project: Any) -> None:
    project.ini("uno_leak_levels = UNO203 = off")
    project.run(BOTH, *WRITE)
    assert rules(project) == ["UNO101"]


def test_what_is_allowed_does_not_become_known(project: Any) -> None:
    project.ini("uno_leak_allow = UNO203 test_it.py::start_timer: the wheel of time")
    project.run(BOTH, *WRITE)
    assert rules(project) == ["UNO101"]


def test_writing_again_changes_nothing_however_lines_and_tests_move(project: Any, known: str) -> None:
    moved = BOTH.replace("pytestmark =", "# a line\n    pytestmark =").replace("test_timer", "test_renamed")
    result = project.run(moved, *WRITE)
    result.stdout.fnmatch_lines(["baseline known.json: 2 known leaks, as before"])
    assert read(project) == known


def test_what_is_gone_is_announced_and_dropped_when_writing(project: Any, known: str) -> None:
    result = project.run(NO_TIMER, FILE)
    assert result.ret == 0
    result.stdout.fnmatch_lines([GONE])
    assert read(project) == known
    result = project.run(NO_TIMER, *WRITE)
    result.stdout.fnmatch_lines(["baseline known.json: 1 known leak, 1 dropped"])
    assert rules(project) == ["UNO101"]


def test_what_is_gone_with_its_test_or_file_is_dropped(project: Any) -> None:
    project.file("test_other.py", BOTH)
    project.run(BOTH.replace("start_", "begin_"), *WRITE)
    assert len(project.leaks("known.json")) == 4
    project.pytester.path.joinpath("test_other.py").unlink()
    result = project.run("def test_else(): ...", *WRITE)
    result.stdout.fnmatch_lines(["baseline known.json: 0 known leaks, 4 dropped"])


def test_a_file_without_tests_was_looked_at(project: Any, known: str) -> None:
    project.file("test_other.py", "def test_other(): ...")
    result = project.run("", *WRITE)
    result.stdout.fnmatch_lines(["baseline known.json: 0 known leaks, 2 dropped"])


PARTIAL: dict[str, tuple[str, ...]] = {
    "keyword": ("-k", "poller"),
    "mark": ("-m", "uno_async", "-k", "not else"),
    "deselect": ("--deselect", "test_it.py::test_poller"),
    "file": ("test_it.py",),
    "node": ("test_it.py::test_timer", "test_it.py::test_poller"),
    "last-failed": ("--lf", "-p", "cacheprovider"),
    "stepwise": ("--sw", "-p", "cacheprovider"),
    "setup-only": ("--setup-only",),
    "collect-only": ("--collect-only",),
    "other-folder": ("other",),
    "ignore": ("--ignore=test_it.py",),
    "levels-off": ("--uno-leaks=off",),
    "rule-off": ("--uno-leak-level=UNO1xx=off", "--uno-leak-level=UNO2xx=off"),
}


@pytest.mark.parametrize("kind", PARTIAL)
def test_a_partial_run_neither_announces_nor_drops(project: Any, known: str, kind: str) -> None:
    project.file("other/test_else.py", "def test_else(): ...")
    if kind in ("last-failed", "stepwise"):
        project.pytester.path.joinpath("pytest.ini").write_text(
            "[pytest]\nasyncio_default_fixture_loop_scope = function\naddopts = --import-mode=importlib\n"
        )
    for flags in ((FILE,), WRITE):
        result = project.run(NONE, *flags, *PARTIAL[kind])
        assert result.ret == 0
        assert "not seen any more" not in result.stdout.str()
        assert "dropped" not in result.stdout.str()
        assert read(project) == known
    if kind != "collect-only":
        result.stdout.fnmatch_lines(["2 entries were kept without being seen: *"])


BROKEN: dict[str, tuple[str, tuple[str, ...]]] = {
    "fails": ("assert False", ()),
    "skipped": ("pytest.skip('not today')", ()),
    "xfails": ("pytest.xfail('not yet')", ()),
    "first failure": ("assert False", ("-x",)),
    "interrupted": ("raise KeyboardInterrupt", ()),
    "exits": ("pytest.exit('enough', returncode=0)", ()),
    "stops": ("request.session.shouldstop = 'enough'", ()),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_test_that_did_not_end_well_keeps_its_entries(project: Any, known: str, kind: str) -> None:
    statement, flags = BROKEN[kind]
    source = NONE.replace("async def test_poller():", f"async def test_poller(request):\n        {statement}")
    run = project.run_apart if kind == "interrupted" else project.run
    for options in ((FILE,), WRITE):
        text = run(source, *options, *flags).stdout.str()
        assert "UNO101" not in text
        assert "2 baseline entries" not in text
    assert "UNO101" in rules(project)


@pytest.mark.parametrize(
    "source",
    [
        NONE + "\n    if True:\n        pytest.skip('all of it', allow_module_level=True)",
        "raise RuntimeError('broken')",
    ],
)
def test_a_file_that_is_not_collected_keeps_its_entries(project: Any, known: str, source: str) -> None:
    project.file("test_other.py", "def test_other(): ...")
    project.run(source, *WRITE)
    assert read(project) == known


def test_a_plugin_that_leaves_tests_out_silently_makes_the_run_partial(project: Any, known: str) -> None:
    project.file("conftest.py", "def pytest_collection_modifyitems(items):\n    del items[0]")
    project.run(NONE, *WRITE)
    assert read(project) == known


def test_a_folder_says_nothing_of_tests_outside_of_it(project: Any) -> None:
    project.file("one/test_one.py", BOTH)
    project.file("two/test_two.py", BOTH)
    project.run(None, *WRITE)
    project.file("one/test_one.py", NONE)
    project.file("two/test_two.py", NONE)
    result = project.run(None, "one", *WRITE)
    result.stdout.fnmatch_lines(
        [
            "baseline known.json: 2 known leaks, 2 dropped",
            "2 entries were kept without being seen: the run did not judge every test of theirs",
        ]
    )
    assert {leak["created"][0]["file"] for leak in project.leaks("known.json")} == {"two/test_two.py"}


def test_a_partial_run_adds_what_is_new(project: Any) -> None:
    project.run(NO_TIMER, *WRITE)
    project.run(BOTH, *WRITE, "-k", "timer")
    assert rules(project) == ["UNO101", "UNO203"]


def test_an_expected_failure_stays_one(project: Any) -> None:
    source = BOTH.replace(
        "async def test_poller", "@pytest.mark.xfail(strict=True)\n    async def test_poller"
    )
    for _ in range(2):
        assert project.outcomes(project.run(source, *WRITE)) == {"passed": 1, "xfailed": 1}
    assert rules(project) == ["UNO203"]


def test_a_wider_fixture_that_ends_with_a_plain_test_is_known_too(project: Any) -> None:
    source = """
    @pytest.fixture(scope="module")
    async def wide():
        yield
        {}

    @pytest.mark.uno_async
    async def test_it(wide): ...

    def test_plain(): ...
    """
    leaking = source.format("asyncio.create_task(asyncio.Event().wait(), name='left')")
    assert project.outcomes(project.run(leaking, *WRITE)) == {"passed": 2}
    assert [leak["seen"][0]["test"] for leak in project.leaks("known.json")] == ["test_it.py::test_plain"]
    for options in (WRITE, (FILE,)):
        result = project.run(leaking, *options)
        assert project.outcomes(result) == {"passed": 2}
        assert "dropped" not in result.stdout.str()
    project.run(source.format("pass"), *WRITE)
    assert rules(project) == []


def test_the_ini_option_is_relative_to_its_file(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    project.ini("uno_leak_baseline = ci/known.json")
    project.file("sub/test_sub.py", BOTH)
    monkeypatch.chdir(project.pytester.path / "sub")
    assert project.outcomes(project.run(None, "--uno-leak-baseline-write")) == {"passed": 2}
    assert rules(project, "ci/known.json") == ["UNO101", "UNO203"]
    assert project.outcomes(project.run(None)) == {"passed": 2}


def test_an_attempt_that_is_run_again_does_not_count(project: Any, all_plugins: None) -> None:
    source = """
    @pytest.mark.flaky(reruns=1)
    @pytest.mark.uno_async
    async def test_it(request):
        if request.node.execution_count == 1:
            asyncio.create_task(asyncio.Event().wait(), name="left")
            assert False
        await asyncio.sleep(0)
    """
    pytest.importorskip("pytest_rerunfailures")
    result = project.run_apart(source, *WRITE)
    assert project.outcomes(result) == {"passed": 1, "rerun": 1}
    assert rules(project) == []
    assert "leak report" not in project.run_apart(source).stdout.str()


@pytest.mark.slow
def test_workers_are_told_what_is_known(project: Any, known: str) -> None:
    project.pytester.path.joinpath("known.json").unlink()
    result = project.run_apart(BOTH, "-n2", *WRITE)
    assert project.outcomes(result) == {"passed": 2}
    assert read(project) == known
    result = project.run_apart(NO_TIMER, "-n2", FILE)
    assert project.outcomes(result) == {"passed": 2}
    result.stdout.fnmatch_lines(["1 known leak in known.json did not fail the run*", GONE])
    project.run_apart(NONE, "-n2", *WRITE, "-k", "poller")
    assert read(project) == known
    crash = NONE.replace(
        "async def test_timer():", "async def test_timer():\n        __import__('os')._exit(3)"
    )
    result = project.run_apart(crash, "-n2", *WRITE)
    assert "INTERNALERROR" not in result.stdout.str()
    assert read(project) == known
    project.run_apart(NO_TIMER.replace("test_timer", "test_renamed"), "-n2", *WRITE)
    assert rules(project) == ["UNO101"]


def test_the_file_is_a_report_that_others_can_read(project: Any, known: str) -> None:
    import jsonschema

    schema = Path(pytest.importorskip("pytest_uno.reports").__file__).parent / "leaks-1.schema.json"
    data = json.loads(known)
    jsonschema.validate(data, json.loads(schema.read_text("utf-8")))
    assert data["project"] == project.pytester.path.name
    assert {sighting["worker"] for leak in data["leaks"] for sighting in leak["seen"]} == {None}
