"""What is allowed by the ini file and by markers in whole runs, and what is reported as of no use."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("collected")

POLLER = """
    def start_poller():
        asyncio.create_task(asyncio.Event().wait(), name="poller")

    @pytest.mark.uno_async{marker}
    async def test_it():
        start_poller()
        await asyncio.sleep(0)
"""

REASON = "lives as long as the process"
LINE = f"uno_leak_allow = UNO101 test_it.py::start_poller: {REASON}"


def poller(marker: str = "") -> str:
    return POLLER.format(marker=marker)


def unused(project: Any, result: pytest.RunResult) -> list[str]:
    return [line for line in project.lines_with(result, "unused: ") if line.startswith("unused: ")]


@pytest.mark.parametrize(
    ("ini", "marker", "reason"),
    [
        (LINE, "", REASON),
        ("", "(allow_leaks='UNO101')", ""),
        ("", "(allow_leaks=['UNO203', 'UNO1xx: because'])", "because"),
        ("", "(allow_leaks={'UNO101 test_*.py::start_*': 'why not'})", "why not"),
        (LINE, "(allow_leaks='UNO101: closer')", "closer"),
        ("uno_leaks = warn\n" + LINE, "", REASON),
    ],
)
def test_what_is_allowed_neither_fails_nor_warns(project: Any, ini: str, marker: str, reason: str) -> None:
    project.ini(ini)
    result = project.run(poller(marker), "--uno-report=json:leaks.json")
    assert project.outcomes(result) == {"passed": 1}
    (leak,) = project.leaks()
    assert (leak["status"], leak["level"], leak["reason"]) == ("allowed", "error", reason)


@pytest.mark.parametrize(
    ("ini", "marker"),
    [
        ("uno_leak_allow = UNO102 test_it.py::start_poller: another rule", ""),
        ("uno_leak_allow = UNO101 test_it.py::test_it: who calls, not who creates", ""),
        ("uno_leak_allow = UNO101 other.py::start_poller: another file", ""),
        ("", "(allow_leaks=['UNO102', 'UNO2xx'])"),
        ("", "(allow_leaks=())"),
        ("", "(allow_leaks=None)"),
    ],
)
def test_what_is_not_allowed_fails(project: Any, ini: str, marker: str) -> None:
    project.ini(ini)
    result = project.run(poller(marker))
    assert project.outcomes(result) == {"failed": 1}


def test_the_closest_marker_replaces_the_wider_ones(project: Any) -> None:
    result = project.run(
        """
    pytestmark = pytest.mark.uno_async(allow_leaks="UNO101")

    async def leak():
        asyncio.create_task(asyncio.Event().wait(), name="left")
        await asyncio.sleep(0)

    async def test_module():
        await leak()

    @pytest.mark.uno_async(allow_leaks="UNO203")
    class TestClass:
        async def test_class(self):
            await leak()

        @pytest.mark.uno_async(allow_leaks={"UNO1xx": "again"})
        async def test_method(self):
            await leak()

        @pytest.mark.uno_async(real_timeout=9)
        async def test_of_something_else(self):
            await leak()

    @pytest.mark.uno_async(allow_leaks=())
    async def test_taken_back():
        await leak()
    """,
        "-v",
    )
    assert project.outcomes(result) == {"passed": 2, "failed": 3}
    result.stdout.fnmatch_lines_random(
        ["*test_module PASSED*", "*test_method PASSED*", "*test_class FAILED*", "*test_taken_back FAILED*"]
    )


def test_for_wider_fixtures_only_the_ini_file_counts(project: Any) -> None:
    source = """
    @pytest.fixture(scope="module")
    async def wide():
        yield
        asyncio.create_task(asyncio.Event().wait(), name="left")

    @pytest.mark.uno_async(allow_leaks="UNO101")
    async def test_it(wide): ...

    {plain}
    """
    for plain in ("", "def test_plain(): ..."):
        project.ini("")
        result = project.run(source.format(plain=plain))
        assert project.outcomes(result)["errors"] == 1
        project.ini("uno_leak_allow = UNO101 test_it.py::wide: for all tests")
        result = project.run(source.format(plain=plain))
        assert "errors" not in project.outcomes(result)
        assert unused(project, result) == ['unused: allow_leaks="UNO101" on test_it.py::test_it']


def test_a_leak_that_is_not_allowed_fails_beside_one_that_is(project: Any) -> None:
    project.ini(LINE)
    result = project.run(
        poller().replace(
            "start_poller()\n        await",
            "start_poller()\n        asyncio.get_running_loop().call_later(9, print)\n        await",
        )
    )
    assert project.outcomes(result) == {"failed": 1}
    failures = result.stdout.str().partition("= leak report =")[0]
    assert "UNO203 timer" in failures
    assert "UNO101" not in failures


def test_what_no_leak_has_used_is_reported(project: Any) -> None:
    project.ini("uno_leak_allow =\n  UNO101 test_it.py::start_poller: used\n  UNO101 gone.py::f: unused")
    result = project.run(poller("(allow_leaks=['UNO101', 'UNO102: why', 'UNO1xx gone.py::f'])"))
    assert project.outcomes(result) == {"passed": 1}
    assert unused(project, result) == [
        'unused: allow_leaks="UNO102" on test_it.py::test_it',
        'unused: allow_leaks="UNO1xx gone.py::f" on test_it.py::test_it',
        'unused: uno_leak_allow "UNO101 gone.py::f"',
    ]


def test_it_is_reported_when_there_is_no_leak_at_all(project: Any) -> None:
    result = project.run(poller("(allow_leaks='UNO101')").replace("start_poller()\n        await", "await"))
    assert project.outcomes(result) == {"passed": 1}
    result.stdout.fnmatch_lines(["*= leak report =*", 'unused: allow_leaks="UNO101" on test_it.py::test_it'])


SHARED = """
    class Base:
        {inherited}

    {module}

    {klass}
    class TestClass(Base):
        {function}
        @pytest.mark.parametrize("leaks", [False, pytest.param(True{param})])
        async def test_it(self, leaks):
            if leaks and {leaking}:
                asyncio.create_task(asyncio.Event().wait(), name="left")
            await asyncio.sleep(0)

    async def test_other(): ...
"""
MARKER = "pytest.mark.uno_async(allow_leaks='UNO101')"
PLACES = {
    "module": ("pytestmark = " + MARKER, "test_it.py"),
    "klass": ("@" + MARKER, "test_it.py::TestClass"),
    "function": ("@" + MARKER, "test_it.py::TestClass::test_it"),
    "param": (", marks=" + MARKER, "test_it.py::TestClass::test_it[True]"),
    "inherited": ("pytestmark = " + MARKER, "test_it.Base"),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_marker_is_unused_only_if_no_test_has_used_it(project: Any, place: str) -> None:
    marker, where = PLACES[place]
    parts = {**dict.fromkeys(PLACES, ""), "inherited": "pass", place: marker}
    if place != "module":
        parts["module"] = "pytestmark = pytest.mark.uno_async"
    result = project.run(SHARED.format(**parts, leaking=True))
    assert project.outcomes(result) == {"passed": 3}
    assert unused(project, result) == []
    result = project.run(SHARED.format(**parts, leaking=False))
    assert unused(project, result) == [f'unused: allow_leaks="UNO101" on {where}']
    result = project.run(SHARED.format(**parts, leaking=False), "-k", "True")
    assert len(unused(project, result)) == (1 if place == "param" else 0)


@pytest.mark.parametrize(
    "flags",
    [
        ("-k", "test_it"),
        ("test_it.py",),
        (".", "-x"),
        ("sub",),
        ("--uno-leaks=off",),
        ("--uno-leak-level=UNO1xx=off",),
    ],
)
def test_of_the_ini_file_only_a_whole_run_can_say(project: Any, flags: tuple[str, ...]) -> None:
    project.ini("uno_leak_allow = UNO101 gone.py::f: unused")
    project.file("sub/test_sub.py", "def test_sub(): ...")
    project.file("test_more.py", "def test_more(): ...")
    source = "def test_it(): ...\ndef test_z(): assert False" if "-x" in flags else "def test_it(): ..."
    result = project.run(source.replace("\n", "\n    "), *flags)
    assert unused(project, result) == []
    result = project.run("def test_it(): ...", ".")
    assert unused(project, result) == ['unused: uno_leak_allow "UNO101 gone.py::f"']


@pytest.mark.parametrize("statement", ["assert False", "pytest.skip('not today')", "pytest.xfail('not yet')"])
def test_a_test_that_does_not_end_well_cannot_say(project: Any, statement: str) -> None:
    project.ini(LINE + "\n  UNO102 a.py::f: x")
    source = poller("(allow_leaks='UNO203')").replace(
        "start_poller()\n        await", f"{statement}\n        await"
    )
    result = project.run(source)
    shown = unused(project, result)
    assert not any("allow_leaks" in line for line in shown)
    assert len(shown) == (0 if statement == "assert False" else 2)


def test_levels_that_are_off_make_no_use_of_it(project: Any) -> None:
    source = poller("(allow_leaks='UNO101', leaks={'UNO101': 'off'})")
    assert unused(project, project.run(source)) == []


def test_an_attempt_that_is_run_again_does_not_count(project: Any, all_plugins: None) -> None:
    pytest.importorskip("pytest_rerunfailures")
    source = """
    @pytest.mark.flaky(reruns=1)
    @pytest.mark.uno_async(allow_leaks="UNO101")
    async def test_it(request):
        if request.node.execution_count == 1:
            asyncio.create_task(asyncio.Event().wait(), name="left")
            assert False
        await asyncio.sleep(0)
    """
    result = project.run_apart(source)
    assert project.outcomes(result) == {"passed": 1, "rerun": 1}
    assert unused(project, result) == ['unused: allow_leaks="UNO101" on test_it.py::test_it']


@pytest.mark.slow
def test_what_workers_have_used(project: Any) -> None:
    project.ini(LINE + "\n  UNO101 gone.py::f: unused\n  UNO203 test_more.py::test_more: a wheel")
    project.file(
        "test_more.py",
        """
    pytestmark = pytest.mark.uno_async(allow_leaks=["UNO101", "UNO102"])

    @pytest.mark.parametrize("number", range(4))
    async def test_more(number):
        if number == 3:
            asyncio.create_task(asyncio.Event().wait(), name="left")
            asyncio.get_running_loop().call_later(9, print)
        await asyncio.sleep(0)
    """,
    )
    expected = ['unused: allow_leaks="UNO102" on test_more.py', 'unused: uno_leak_allow "UNO101 gone.py::f"']
    result = project.run_apart(poller(), "-n2")
    assert project.outcomes(result) == {"passed": 5}
    assert unused(project, result) == expected
    assert unused(project, project.run_apart(poller(), "-n2", "-k", "test_it or 3")) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("UNO1O1 a.py::f: x", "unknown rule 'UNO1O1': did you mean 'UNO101'?"),
        ("UNO101 a.py::f", "say why it may leak, behind a colon"),
        ("UNO101: why", "name what creates it"),
        ("UNO101 a.py:11: why", "never by line"),
        ("a.py::f: why", "write a rule, a place and a reason"),
    ],
)
def test_bad_lines_are_usage_errors(project: Any, line: str, expected: str) -> None:
    project.ini(f"uno_leak_allow = {line}")
    result = project.run(poller())
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            f"*ini option uno_leak_allow: cannot take '{line}'*",
            f"*fix: *{expected}*",
            "*docs: https://*#bad-option",
        ]
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("'UNO1O1'", "unknown rule 'UNO1O1': did you mean 'UNO101'?"),
        ("'UNO101 a.py:11'", "never by line"),
        ("{'UNO101': 1}", "give a dict of patterns and their reasons"),
        ("101", "give a rule, as 'UNO102'"),
    ],
)
def test_bad_values_of_a_marker_are_errors_at_collection(project: Any, value: str, expected: str) -> None:
    result = project.run(poller(f"(allow_leaks={value})"))
    assert project.outcomes(result) == {"errors": 1}
    assert expected in result.stdout.str()
    result.stdout.fnmatch_lines(["*is not a value of allow_leaks*", "*docs: https://*#bad-marker"])
