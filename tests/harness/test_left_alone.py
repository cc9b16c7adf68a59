"""A project without uno tests is left alone, and one with them finds everything as it was."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

LEAKS = """
    @pytest.mark.uno_async
    async def test_leaks():
        asyncio.create_task(asyncio.Event().wait(), name="left")
        await asyncio.sleep(0)
"""
CLEAN = """
    @pytest.mark.uno_async
    async def test_clean():
        await asyncio.sleep(0)
"""

# Prints what a run may have touched, before pytest and after it. The modules are imported first, so that both
# pictures are of the same objects.
PICTURE = """
import asyncio, asyncio.base_events, asyncio.events, asyncio.runners, asyncio.tasks, signal, sys, warnings
import pytest

asyncio.new_event_loop().close()  # makes the policy

def picture():
    warn = getattr(warnings, "_warn_unawaited_coroutine", None)
    return {
        "warn_unawaited": id(warn),
        "origin_depth": sys.get_coroutine_origin_tracking_depth(),
        "asyncgen_hooks": tuple(sys.get_asyncgen_hooks()),
        "unraisablehook": id(sys.unraisablehook),
        "excepthook": id(sys.excepthook),
        "sigint": signal.getsignal(signal.SIGINT),
        "policy": type(getattr(asyncio.events, "_event_loop_policy", None)),
        "asyncio": {
            (module.__name__, name): id(value)
            for module in (asyncio, asyncio.base_events, asyncio.events, asyncio.runners, asyncio.tasks)
            for name, value in vars(module).items()
            if callable(value)
        },
        "classes": {
            (cls.__name__, name): id(value)
            for cls in (asyncio.SelectorEventLoop, asyncio.Runner, asyncio.Handle, asyncio.Event)
            for base in cls.__mro__[:-1]
            for name, value in vars(base).items()
            if callable(value)
        },
    }

class Within:
    def pytest_sessionfinish(self, session):
        names = [name for name, _ in session.config.pluginmanager.list_name_plugin()]
        print("\\nUNO-PLUGINS", sorted(name for name in names if "uno" in name))
        print("WITHIN", sorted(key for key, value in picture().items() if value != before[key]))

before = picture()
code = pytest.main(sys.argv[1:], plugins=[Within()])
after = picture()
print("CODE", int(code))
print("AFTER", sorted(key for key, value in after.items() if value != before[key]))
"""


def run_pictured(project: Any, source: str) -> dict[str, str]:
    """Run a project in a process of its own and return what was touched within and after the run."""
    project.file("test_it.py", source)
    script = project.pytester.path / "picture.py"
    script.write_text(PICTURE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script), "-s"],
        cwd=project.pytester.path,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=True,
    )
    return dict(re.findall(r"^(UNO-PLUGINS|WITHIN|CODE|AFTER) (.*)$", done.stdout, re.MULTILINE))


def run_twice(project: Any, *args: str) -> list[list[str]]:
    """Run a project with the plugin and without it; return what was printed, without what always differs."""
    printed: list[list[str]] = []
    for more in ((), ("-p", "no:uno")):
        result = project.run_apart(None, *args, *more)
        lines = [
            line
            for line in result.outlines + result.errlines
            # The two lists of what there is: plugins, and fixtures where one is missing.
            if not line.startswith(("plugins: ", ">       available fixtures: "))
        ]
        printed.append([re.sub(r"\d+\.\d\d(\d*)s", "N.NNs", line) for line in lines])
    return printed


NO_UNO = """
    @pytest.fixture
    def number():
        yield 1

    @pytest.fixture
    async def plain():
        yield 2

    class TestOf:
        def test_method(self, number):
            assert number == 1

    @pytest.mark.parametrize("letter", "abc")
    def test_letters(letter):
        assert letter != "c"

    @pytest.mark.asyncio
    async def test_asyncio():
        asyncio.create_task(asyncio.Event().wait(), name="nobody minds")
        await asyncio.sleep(0)

    @pytest.mark.skip(reason="not now")
    def test_skipped(): ...

    @pytest.mark.xfail
    def test_expected():
        raise ValueError

    def test_broken(missing): ...

    async def test_nobody_runs(): ...

    def test_warns():
        import warnings
        warnings.warn("careful")
"""


@pytest.mark.parametrize("arguments", [(), ("-v",), ("-rA", "--tb=short"), ("--co", "-q"), ("--setup-plan",)])
def test_a_project_without_uno_tests_prints_the_same(project: Any, arguments: tuple[str, ...]) -> None:
    project.file("test_it.py", NO_UNO)
    with_uno, without = run_twice(project, *arguments)
    assert with_uno == without
    assert len(with_uno) > 5


def test_a_project_without_uno_tests_prints_the_same_on_workers(project: Any) -> None:
    pytest.importorskip("xdist")
    project.file("test_it.py", NO_UNO)
    with_uno, without = (sorted(lines) for lines in run_twice(project, "-n1", "-v"))
    assert with_uno == without


def test_a_run_without_uno_tests_is_left_alone(project: Any) -> None:
    seen = run_pictured(project, NO_UNO)
    assert seen["CODE"] == "1"
    assert seen["WITHIN"] == run_pictured_without(project)["WITHIN"]
    assert seen["AFTER"] == "[]"
    assert seen["UNO-PLUGINS"] == str(["uno", "uno-adoption", "uno-fixtures", "uno-run-scope"])


def run_pictured_without(project: Any) -> dict[str, str]:
    ini = project.pytester.path / "pytest.ini"
    ini.write_text(ini.read_text("utf-8").replace("no:randomly", "no:randomly -p no:uno"), encoding="utf-8")
    return run_pictured(project, NO_UNO)


def test_everything_is_put_back_after_a_run_with_uno_tests(project: Any) -> None:
    source = """
    @pytest.fixture(scope="session")
    async def database():
        yield 1

    @pytest.mark.uno_async(real_timeout=30)
    async def test_wide(database, uno_manager):
        async with asyncio.timeout(3):
            await asyncio.sleep(1)

    @pytest.mark.uno_async(clock="real")
    async def test_real():
        await asyncio.sleep(0)
    """
    seen = run_pictured(project, source + LEAKS + CLEAN)
    assert seen["CODE"] == "1"
    assert seen["AFTER"] == "[]"
    assert "uno-harness-runner" in seen["UNO-PLUGINS"]
