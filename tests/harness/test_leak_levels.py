"""Levels of rules in whole runs: ini file, markers and command line, and what a run makes of them."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("collected")

BOTH = """
    @pytest.mark.uno_async{marker}
    async def test_it():
        asyncio.create_task(asyncio.Event().wait(), name="left")
        asyncio.get_running_loop().call_later(60, print)
        await asyncio.sleep(0)
"""
"""A pending task (UNO101) and a timer (UNO203)."""

SEEN = """
    @pytest.fixture
    def seen(request):
        from pytest_uno.harness.run_state import options_of
        return options_of(request.node).leak_levels.of
"""


def both(marker: str = "") -> str:
    return BOTH.format(marker=marker)


@pytest.mark.parametrize(
    ("ini", "marker", "flags", "failed", "warned"),
    [
        ("", "", (), "UNO101 UNO203", ""),
        ("uno_leak_levels = UNO203 = warn", "", (), "UNO101", "UNO203"),
        ("uno_leak_levels = UNO203=off", "", (), "UNO101", ""),
        ("uno_leak_levels =\n  UNO2xx = off\n  UNO203 = warn\n  UNO1xx = off", "", (), "", "UNO203"),
        ("uno_leaks = warn\nuno_leak_levels = UNO203 = error", "", (), "UNO203", "UNO101"),
        ("uno_leaks = off\nuno_leak_levels = UNO203 = error", "", (), "UNO203", ""),
        ("", "(leaks={'UNO203': 'warn'})", (), "UNO101", "UNO203"),
        ("uno_leaks = off", "(leaks={'UNO203': 'warn'})", (), "", "UNO203"),
        ("uno_leak_levels = UNO203 = error", "(leaks='warn')", (), "", "UNO101 UNO203"),
        ("uno_leak_levels = UNO203 = error", "(leaks='off')", (), "", ""),
        ("uno_leak_levels = UNO203 = off", "(leaks={'UNO1xx': 'warn'})", (), "", "UNO101"),
        ("", "", ("--uno-leak-level=UNO203=warn",), "UNO101", "UNO203"),
        ("", "", ("--uno-leak-level", "UNO203=warn", "--uno-leak-level", "UNO1xx = off"), "", "UNO203"),
        (
            "uno_leak_levels = UNO101 = off",
            "(leaks={'UNO203': 'off'})",
            ("--uno-leak-level=UNO203=error",),
            "UNO203",
            "",
        ),
        ("", "(leaks={'UNO203': 'off'})", ("--uno-leaks=warn",), "", "UNO101 UNO203"),
        ("", "(leaks='off')", ("--uno-leak-level=UNO203=error",), "UNO203", ""),
        ("", "", ("--uno-leaks=off", "--uno-leak-level=UNO101=warn"), "", "UNO101"),
    ],
)
def test_what_fails_and_what_warns(
    project: Any, ini: str, marker: str, flags: tuple[str, ...], failed: str, warned: str
) -> None:
    project.ini(ini)
    result = project.run(both(marker), "--uno-report=json:leaks.json", *flags)
    expected = {"failed" if failed else "passed": 1}
    if warned:
        expected["warnings"] = len(warned.split())
    assert project.outcomes(result) == expected
    statuses: dict[str, list[str]] = {"new": [], "allowed": []}
    for leak in project.leaks():
        statuses[leak["status"]].append(leak["rule"])
    assert statuses == {"new": failed.split(), "allowed": warned.split()}


def test_a_test_that_fails_for_one_leak_warns_of_the_other(project: Any) -> None:
    result = project.run(both("(leaks={'UNO203': 'warn'})"), "-W", "error")
    assert project.outcomes(result) == {"failed": 1, "warnings": 1}
    text = result.stdout.str()
    failures, warned = text.split("warnings summary")
    assert "UNO101 pending-task" in failures
    assert "UNO203" not in failures
    assert "UnoLeakWarning: UNO203 timer" in warned


def test_markers_add_up_and_a_closer_level_for_everything_takes_them_back(project: Any) -> None:
    result = project.run(
        SEEN
        + """
    pytestmark = pytest.mark.uno_async(leaks={"UNO101": "warn", "UNO203": "off"})

    async def test_module(seen):
        assert (seen("UNO101"), seen("UNO203"), seen("UNO201")) == ("warn", "off", "error")

    @pytest.mark.uno_async(leaks={"UNO2xx": "warn"})
    class TestClass:
        async def test_class(self, seen):
            assert (seen("UNO101"), seen("UNO203"), seen("UNO201")) == ("warn", "warn", "warn")

        @pytest.mark.uno_async(leaks={"UNO101": "off"})
        async def test_method(self, seen):
            assert (seen("UNO101"), seen("UNO203"), seen("UNO201")) == ("off", "warn", "warn")

        @pytest.mark.uno_async(leaks="error")
        async def test_strict(self, seen):
            assert (seen("UNO101"), seen("UNO203"), seen("UNO201")) == ("error", "error", "error")

        @pytest.mark.uno_async(real_timeout=9)
        async def test_of_something_else(self, seen):
            assert (seen("UNO101"), seen("UNO203"), seen("UNO201")) == ("warn", "warn", "warn")

    @pytest.mark.uno_async(leaks="off")
    class TestOff:
        @pytest.mark.uno_async(leaks={"UNO101": "error"})
        async def test_method(self, seen):
            assert (seen("UNO101"), seen("UNO203"), seen("UNO201")) == ("error", "off", "off")
    """
    )
    assert project.outcomes(result) == {"passed": 6}


def test_wider_fixtures_have_the_levels_of_the_run(project: Any) -> None:
    project.ini("uno_leak_levels =\n  UNO101 = warn\n  UNO203 = off")
    result = project.run(
        """
    @pytest.fixture(scope="module")
    async def wide():
        asyncio.create_task(asyncio.Event().wait(), name="left")
        asyncio.get_running_loop().call_later(60, print)

    @pytest.mark.uno_async(leaks={"UNO101": "error", "UNO203": "error"})
    async def test_it(wide): ...
    """
    )
    assert project.outcomes(result) == {"passed": 1, "warnings": 1}
    result.stdout.fnmatch_lines(["*UnoLeakWarning: UNO101*"])


def test_levels_reach_the_workers_of_xdist(project: Any) -> None:
    project.ini("uno_leak_levels = UNO203 = warn")
    result = project.run_apart(both(), "-n2", "--uno-leak-level=UNO101=warn")
    assert project.outcomes(result) == {"passed": 1, "warnings": 2}


@pytest.mark.parametrize(
    ("ini", "flags", "expected"),
    [
        (
            "UNO1O1 = warn",
            (),
            "ini option uno_leak_levels: *fix: unknown rule 'UNO1O1': did you mean 'UNO101'?",
        ),
        (
            "UNO101 = eror",
            (),
            "ini option uno_leak_levels: *unknown level 'eror' of UNO101: did you mean 'error'?",
        ),
        ("UNO101", (), "ini option uno_leak_levels: *write a rule and its level"),
        ("", ("--uno-leak-level=UNO999",), "--uno-leak-level: *write a rule and its level"),
        ("", ("--uno-leak-level=UNO7xx=off",), "--uno-leak-level: *unknown rule 'UNO7xx'"),
    ],
)
def test_bad_levels_are_usage_errors(project: Any, ini: str, flags: tuple[str, ...], expected: str) -> None:
    project.ini(f"uno_leak_levels = {ini}" if ini else "")
    result = project.run(both(), *flags)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [*(f"*{part.strip()}*" for part in expected.split("*")), "*docs: https://*#bad-option"]
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{'UNO1O1': 'warn'}", "unknown rule 'UNO1O1': did you mean 'UNO101'?"),
        ("{'UNO101': 'eror'}", "unknown level 'eror' of UNO101: did you mean 'error'?"),
        ("{101: 'warn'}", "unknown rule 101"),
        ("['UNO101']", "or give levels of rules, as {'UNO103': 'warn'}"),
    ],
)
def test_bad_levels_of_a_marker_are_errors_at_collection(project: Any, value: str, expected: str) -> None:
    result = project.run(both(f"(leaks={value})"))
    assert project.outcomes(result) == {"errors": 1}
    assert expected in result.stdout.str()
    result.stdout.fnmatch_lines(["*is not a value of leaks*", "*docs: https://*#bad-marker"])
