"""Options: what they take, which beats which, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

SEEN = """
    @pytest.mark.uno_async
    async def test_it(request):
        from pytest_uno.harness.run_state import options_of
        o = options_of(request.node)
        print("SEEN", o.real_timeout, o.leaks, o.clock, o.timeout)
"""


@pytest.mark.parametrize(
    ("ini", "flags", "expected"),
    [
        ("", (), "SEEN 0.0 error virtual 0.0"),
        ("uno_real_timeout = 12.5\nuno_leaks = warn", (), "SEEN 12.5 warn virtual 0.0"),
        (
            "uno_real_timeout = 12\nuno_leaks = warn",
            ("--uno-real-timeout=3", "--uno-leaks=off"),
            "SEEN 3.0 off virtual 0.0",
        ),
        ("", ("--uno-clock=real",), "SEEN 0.0 error real 0.0"),
        ("uno_clock = real\nuno_timeout = 7", ("--uno-timeout=2",), "SEEN 0.0 error real 2.0"),
        ("uno_clock = real\nuno_timeout = 7", ("--uno-clock=virtual",), "SEEN 0.0 error virtual 7.0"),
    ],
)
def test_command_line_beats_ini(project: Any, ini: str, flags: tuple[str, ...], expected: str) -> None:
    project.ini(ini)
    result = project.run(SEEN, "-s", *flags)
    result.stdout.fnmatch_lines([f"*{expected}*"])


def test_command_line_beats_the_marker(project: Any) -> None:
    result = project.run(SEEN.replace("uno_async", "uno_async(leaks='error')"), "-s", "--uno-leaks=warn")
    result.stdout.fnmatch_lines(["*SEEN 0.0 warn virtual*"])


@pytest.mark.parametrize(
    ("ini", "flags", "expected"),
    [
        ("uno_leaks = eror", (), "ini option uno_leaks: 'eror' is not one of error, warn, off"),
        ("", ("--uno-leaks=fail",), "--uno-leaks: 'fail' is not one of error, warn, off"),
        ("uno_async_mode = on", (), "ini option uno_async_mode: 'on' is not one of strict, auto"),
        ("uno_clock = sundial", (), "ini option uno_clock: 'sundial' is not one of virtual, real"),
        ("", ("--uno-clock=reel",), "--uno-clock: 'reel' is not one of virtual, real"),
        ("uno_timeout = soon", (), "ini option uno_timeout: 'soon' is not a number of seconds"),
        ("", ("--uno-timeout=-1",), "--uno-timeout: '-1' is not a number of seconds"),
        ("uno_real_timeout = soon", (), "ini option uno_real_timeout: 'soon' is not a number of seconds"),
        ("", ("--uno-real-timeout=-1",), "--uno-real-timeout: '-1' is not a number of seconds"),
        ("", ("--uno-real-timeout=inf",), "--uno-real-timeout: 'inf' is not a number of seconds"),
        ("", ("--uno-report=jsn:x",), "--uno-report: unknown report format 'jsn' in 'jsn:x'"),
        ("uno_report = xml", (), "ini option uno_report: unknown report format 'xml' in 'xml'"),
        ("uno_leek = off", (), "unknown ini option 'uno_leek' in *pytest.ini"),
    ],
)
def test_bad_values_are_usage_errors(project: Any, ini: str, flags: tuple[str, ...], expected: str) -> None:
    project.ini(ini)
    result = project.run(SEEN, *flags)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{expected}*", "*fix: *", "*docs: https://*"])


def test_misspelt_option_gets_a_suggestion(project: Any) -> None:
    project.ini("uno_real_timout = 5")
    result = project.run(SEEN)
    result.stderr.fnmatch_lines(["*did you mean 'uno_real_timeout'?*"])


def test_auto_mode_takes_every_async_test_of_asyncio(all_plugins: None, project: Any) -> None:
    project.ini("uno_async_mode = auto")
    result = project.run(
        """
    async def test_plain(uno_manager): ...

    @pytest.mark.asyncio
    async def test_marked_for_asyncio(uno_manager): ...

    def test_sync(): ...

    @pytest.mark.anyio
    async def test_anyio(request, anyio_backend):
        from pytest_uno.harness.run_state import options_of
        assert options_of(request.node) is None

    async def test_anyio_by_fixture(request, anyio_backend):
        from pytest_uno.harness.run_state import options_of
        assert options_of(request.node) is None

    @pytest.fixture
    def anyio_backend():
        return "asyncio"
    """
    )
    assert project.outcomes(result)["passed"] >= 4


def test_auto_mode_lets_sync_tests_ask_for_async_fixtures(project: Any) -> None:
    project.ini("uno_async_mode = auto")
    result = project.run(
        """
    @pytest.fixture
    async def number():
        yield asyncio.get_running_loop().is_running()

    @pytest.fixture(scope="session")
    async def loop():
        return asyncio.get_running_loop()

    def test_first(number, loop):
        assert number and not loop.is_closed()

    async def test_async(loop):
        assert asyncio.get_running_loop() is loop
    """
    )
    assert project.outcomes(result) == {"passed": 2}
    result = project.run("def test_it(): ...")
    assert project.outcomes(result) == {"passed": 1}


def test_strict_mode_leaves_unmarked_tests_alone(project: Any) -> None:
    result = project.run(
        """
    @pytest.mark.asyncio
    async def test_it(request):
        from pytest_uno.harness.run_state import options_of
        assert options_of(request.node) is None
    """
    )
    assert project.outcomes(result) == {"passed": 1}


def test_without_pytest_asyncio_a_marked_test_says_so(project: Any) -> None:
    project.pytester.path.joinpath("pytest.ini").write_text("[pytest]\n")
    result = project.run(SEEN, "-p", "no:asyncio")
    assert project.outcomes(result) == {"errors": 1}
    result.stdout.fnmatch_lines(["*needs pytest-asyncio, which is switched off*", "*remove -p no:asyncio*"])


def test_without_pytest_asyncio_auto_mode_is_a_usage_error(project: Any) -> None:
    project.ini("uno_async_mode = auto")
    result = project.run(SEEN, "-p", "no:asyncio")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*uno_async_mode = auto needs pytest-asyncio*"])


def test_without_pytest_asyncio_other_tests_run(project: Any) -> None:
    project.pytester.path.joinpath("pytest.ini").write_text("[pytest]\n")
    result = project.run("def test_it(): ...", "-p", "no:asyncio")
    assert project.outcomes(result) == {"passed": 1}


def test_plugin_autoload_switched_off(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    project.ini("")
    path = project.pytester.path / "pytest.ini"
    path.write_text(path.read_text().replace("-p no:randomly", ""))
    for run in (project.run, project.run_apart):
        for more in ((), ("-p", "pytest_asyncio.plugin")):
            result = run(SEEN, "-p", "pytest_uno.plugin", *more)
            assert project.outcomes(result) == {"passed": 1}
