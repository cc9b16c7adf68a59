"""A leak is one failure of its test, or what the test expects of a failure."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("collected")


LEAK = """
    @pytest.mark.uno_async{marker}
    async def test_leaks():
        asyncio.create_task(asyncio.Event().wait(), name="left")
        await asyncio.sleep(0)
"""


def leak(marker: str = "") -> str:
    return LEAK.format(marker=marker)


def test_a_leak_is_one_failure_of_its_test(project: Any) -> None:
    result = project.run(
        leak()
        + """
    @pytest.mark.uno_async
    async def test_clean(): ...
    """,
        "-v",
        "--junitxml=junit.xml",
    )
    assert project.outcomes(result) == {"failed": 1, "passed": 1}
    result.stdout.fnmatch_lines(
        [
            "*test_leaks FAILED*",
            "*test_clean PASSED*",
            "*UNO101 pending-task: task 'left' running *",
            "*created * test_it.py:* in test_leaks*",
            "*asyncio.create_task(asyncio.Event().wait(), name=*",
            "*fix *",
            "*leak report*",
            "FAILED test_it.py::test_leaks - UNO101 pending-task at test_it.py:6: task 'le*",
        ]
    )
    cases = ElementTree.parse(project.pytester.path / "junit.xml").getroot().iter("testcase")
    assert {c.get("name"): [child.tag for child in c] for c in cases} == {
        "test_leaks": ["failure"],
        "test_clean": [],
    }


def test_every_first_detector_fails_its_test(project: Any) -> None:
    result = project.run(
        """
    from pytest_uno import AsyncResource

    pytestmark = pytest.mark.uno_async
    kept = []

    async def work(): ...

    async def boom():
        raise ValueError("lost")

    async def test_task():
        kept.append(asyncio.create_task(asyncio.sleep(60)))

    async def test_exception():
        kept.append(asyncio.create_task(boom()))
        await asyncio.sleep(0)

    async def test_exception_dropped():
        asyncio.create_task(boom())
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def test_callback():
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)

    async def test_coroutine_dropped():
        work()

    async def test_coroutine_kept():
        kept.append(work())

    async def test_coroutine_in_cycle():
        box = []
        box.append((box, work()))

    async def test_resource():
        await AsyncResource("pool").__aenter__()

    async def test_clean():
        await asyncio.create_task(work())
        async with AsyncResource("pool"):
            pass
    """,
        "--uno-report=json:leaks.json",
        "-W",
        "error",
    )
    assert project.outcomes(result) == {"failed": 8, "passed": 1}
    seen = {
        entry["test"].partition("::")[2]: leak["rule"] for leak in project.leaks() for entry in leak["seen"]
    }
    assert seen == {
        "test_task": "UNO101",
        "test_exception": "UNO102",
        "test_exception_dropped": "UNO102",
        "test_callback": "UNO104",
        "test_coroutine_dropped": "UNO201",
        "test_coroutine_kept": "UNO201",
        "test_coroutine_in_cycle": "UNO201",
        "test_resource": "UNO501",
    }


@pytest.mark.parametrize(
    ("decorator", "expected"),
    [
        ("@pytest.mark.xfail", {"xfailed": 1}),
        ("@pytest.mark.xfail(strict=True)", {"xfailed": 1}),
        ("@pytest.mark.xfail(raises=ZeroDivisionError)", {"failed": 1}),
        ("@pytest.mark.skip", {"skipped": 1}),
    ],
)
def test_expectations_see_the_leak_as_a_failure(
    project: Any, decorator: str, expected: dict[str, int]
) -> None:
    result = project.run("    " + decorator + leak())
    assert project.outcomes(result) == expected


def test_skipping_in_a_test_that_leaks_stays_a_skip(project: Any) -> None:
    result = project.run(leak() + "        pytest.skip('no')\n")
    assert project.outcomes(result) == {"skipped": 1}


def test_clean_xfail_strict_is_still_a_failure(project: Any) -> None:
    result = project.run(
        """
    @pytest.mark.xfail(strict=True)
    @pytest.mark.uno_async
    async def test_it(): ...
    """
    )
    assert project.outcomes(result) == {"failed": 1}


def test_a_failed_test_gets_no_second_verdict(project: Any) -> None:
    result = project.run(leak() + "        assert False, 'by itself'\n", "--uno-report=json:leaks.json")
    assert project.outcomes(result) == {"failed": 1}
    result.stdout.fnmatch_lines(["*by itself*", "*Captured leaks teardown*", "*UNO101*'left'*"])
    assert [found["rule"] for found in project.leaks()] == ["UNO101"]


def test_a_failing_shutdown_of_a_failed_test_is_a_section(project: Any) -> None:
    result = project.run(
        """
    @pytest.mark.uno_async
    async def test_it(uno_manager):
        def close():
            raise ValueError("close failed")
        await uno_manager.register_resource(object(), close=close)
        assert False, "by itself"
    """
    )
    assert project.outcomes(result) == {"failed": 1}
    result.stdout.fnmatch_lines(["*by itself*", "*Captured manager teardown*", "*close failed*"])


def test_a_failing_shutdown_fails_the_test(project: Any) -> None:
    result = project.run(
        """
    @pytest.mark.uno_async
    async def test_it(uno_manager):
        def close():
            raise ValueError("close failed")
        await uno_manager.register_resource(object(), close=close)

    @pytest.mark.uno_async
    async def test_both(uno_manager):
        def close():
            raise ValueError("close failed, too")
        await uno_manager.register_resource(object(), close=close)
        asyncio.create_task(asyncio.Event().wait(), name="left")
    """
    )
    assert project.outcomes(result) == {"failed": 2}
    result.stdout.fnmatch_lines(["*close failed*", "*UNO101*", "*close failed, too*"])


def test_a_failure_in_setup_stays_an_error(project: Any) -> None:
    result = project.run(
        """
    @pytest.fixture
    async def bad():
        asyncio.create_task(asyncio.Event().wait(), name="left")
        raise ValueError("setup")

    @pytest.mark.uno_async
    async def test_it(bad): ...
    """
    )
    assert project.outcomes(result) == {"errors": 1}
    result.stdout.fnmatch_lines(["*ValueError: setup*"])


def test_level_warn_and_off(project: Any) -> None:
    result = project.run(leak("(leaks='warn')"), "--uno-report=json:leaks.json", "-W", "error")
    assert project.outcomes(result) == {"passed": 1, "warnings": 1}
    result.stdout.fnmatch_lines(["*UnoLeakWarning: UNO101*"])
    assert [found["status"] for found in project.leaks()] == ["allowed"]
    result = project.run(leak("(leaks='off')"), "--uno-report=json:leaks.json")
    assert project.outcomes(result) == {"passed": 1}
    assert project.leaks() == []
    result = project.run(leak(), "--uno-leaks=off")
    assert project.outcomes(result) == {"passed": 1}


def test_stop_at_the_first_failure(project: Any) -> None:
    result = project.run(leak() + leak().replace("test_leaks", "test_next"), "-x")
    assert project.outcomes(result) == {"failed": 1}


def test_report_recipes_see_the_failure(project: Any) -> None:
    project.file(
        "conftest.py",
        """
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(item, call):
        rep = yield
        setattr(item, "rep_" + rep.when, rep)
        return rep

    def pytest_runtest_logfinish(nodeid): ...

    def pytest_sessionfinish(session):
        print("REP", session.items[0].rep_call.outcome)
    """,
    )
    result = project.run(leak(), "-s")
    result.stdout.fnmatch_lines(["*REP failed*"])


def test_a_protocol_that_logs_at_once_gets_an_error_at_teardown(project: Any) -> None:
    project.file(
        "conftest.py",
        """
    from _pytest.runner import runtestprotocol

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(item, nextitem):
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        runtestprotocol(item, nextitem=nextitem)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True
    """,
    )
    result = project.run(leak())
    assert project.outcomes(result) == {"passed": 1, "errors": 1}
    result.stdout.fnmatch_lines(["*UNO101*"])
