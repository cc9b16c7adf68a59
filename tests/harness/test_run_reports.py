"""The controller's side: files that cannot be written, and attempts that do not count."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize("path", ["file/leaks.json", "directory"])
def test_a_report_that_cannot_be_written_is_a_usage_error(project: Any, path: str) -> None:
    project.file("file", "")
    project.pytester.mkdir("directory")
    result = project.run("def test_it(): ...", f"--uno-report=json:{path}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    output = result.stdout.str() + result.stderr.str()
    assert f"cannot write the leak report {project.pytester.path / path}: " in output
    assert "fix: name a file that can be written" in output
    assert "#report-not-written" in output
    assert "INTERNALERROR" not in output


def test_a_report_that_cannot_be_written_in_the_end_does_not_hide_the_results(project: Any) -> None:
    result = project.run(
        """
    import pathlib

    @pytest.mark.uno_async
    async def test_it():
        pathlib.Path("out/leaks.json").mkdir(parents=True)
        assert False, "by itself"

    def test_next(): ...
    """,
        "--uno-report=json:out/leaks.json",
    )
    assert project.outcomes(result) == {"failed": 1, "passed": 1}
    result.stdout.fnmatch_lines(
        ["*by itself*", "*cannot write the leak report *leaks.json: *", "*fix: name a file*"]
    )
    result = project.run(
        """
    import pathlib

    def test_it():
        pathlib.Path("other/leaks.json").mkdir(parents=True)
    """,
        "--uno-report=json:other/leaks.json",
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_the_leak_of_an_earlier_attempt_is_forgotten(project: Any) -> None:
    """As with pytest-rerunfailures: one item, two attempts."""
    project.file(
        "conftest.py",
        """
    from _pytest.runner import runtestprotocol

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(item, nextitem):
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for attempt in (1, 2):
            item.attempt = attempt
            item._initrequest()
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
            for report in reports:
                if attempt == 1 and report.failed:
                    report.outcome = "rerun"
                item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True
    """,
    )
    result = project.run(
        """
    @pytest.fixture
    async def leaks_first(request):
        yield
        if request.node.attempt == 1:
            asyncio.create_task(asyncio.Event().wait(), name="left")

    @pytest.mark.uno_async
    async def test_it(leaks_first): ...
    """,
        "--uno-report=json:leaks.json",
    )
    assert project.outcomes(result)["passed"] == 2
    assert "errors" not in project.outcomes(result)
    assert project.leaks() == []


@pytest.mark.parametrize("kind", ["sync", "asyncio"])
def test_the_manager_outside_of_a_uno_test_is_an_error_with_the_fix(project: Any, kind: str) -> None:
    marker, definition = ("", "def") if kind == "sync" else ("@pytest.mark.asyncio", "async def")
    result = project.run(
        f"""
    {marker}
    {definition} test_it(uno_manager): ...
    """
    )
    assert project.outcomes(result) == {"errors": 1}
    result.stdout.fnmatch_lines(
        [
            "*test_it: the fixture uno_manager needs a uno_async test*",
            "*fix: mark the async test with @pytest.mark.uno_async*",
            "*#manager-outside-test*",
        ]
    )


def test_a_report_whose_text_somebody_has_replaced_has_no_headline(project: Any) -> None:
    project.file(
        "conftest.py",
        """
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(item, call):
        report = yield
        if report.failed:
            report.longrepr = "replaced"
        return report
    """,
    )
    result = project.run(
        """
    @pytest.mark.uno_async
    async def test_leaks():
        asyncio.create_task(asyncio.Event().wait())
        await asyncio.sleep(0)
    """
    )
    assert project.outcomes(result) == {"failed": 1}
    assert "replaced" in result.outlines


def test_no_garbage_is_collected_while_reports_are_made(project: Any) -> None:
    """What is due then is of the tests, and pytest collects it right after: no report has to wait for it."""
    project.file(
        "conftest.py",
        """
    import gc

    from pytest_uno.reports import baseline, formats, terminal

    seen = {}

    def watch(module, name):
        made = getattr(module, name)

        def make(*arguments, **keywords):
            seen[name] = gc.isenabled()
            return made(*arguments, **keywords)

        setattr(module, name, make)

    watch(formats, "render_report")
    watch(baseline, "merge")
    watch(terminal, "summarize")

    def pytest_unconfigure():
        print("collecting:", seen, "then", gc.isenabled())
    """,
    )
    result = project.run_apart(
        """
    import asyncio

    @pytest.mark.uno_async
    async def test_leaky():
        asyncio.create_task(asyncio.sleep(3600))
    """,
        "--uno-report=json",
        "--uno-leak-baseline=known.json",
        "--uno-leak-baseline-write",
        "-s",
    )
    result.stdout.fnmatch_lines(
        ["collecting: {'render_report': False, 'merge': False, 'summarize': False} then True"]
    )
