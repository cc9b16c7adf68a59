"""Findings become outcomes: one FAILED for the test, an error under its name for a fixture."""

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


def test_a_fixture_leak_at_level_warn(project: Any) -> None:
    result = project.run(
        """
    @pytest.fixture(scope="module")
    async def wide():
        asyncio.create_task(asyncio.Event().wait(), name="left")

    @pytest.mark.uno_async
    async def test_it(wide): ...
    """,
        "--uno-leaks=warn",
    )
    assert project.outcomes(result) == {"passed": 1, "warnings": 1}
    result.stdout.fnmatch_lines(["*UnoLeakWarning: UNO101*", "*fixture 'wide' (module, test_it.py:*"])


def test_a_resource_that_a_manager_enters_is_no_leak(project: Any) -> None:
    result = project.run(
        """
    from pytest_uno import AsyncResource

    @pytest.mark.uno_async
    async def test_it(uno_manager):
        await uno_manager.enter_resource(AsyncResource("pool"))

    @pytest.fixture(scope="session")
    async def wide():
        yield [object()]

    @pytest.mark.uno_async
    async def test_dropped_beside_a_wide_fixture(wide):
        await AsyncResource("pool").__aenter__()
    """
    )
    assert project.outcomes(result) == {"passed": 1, "failed": 1}


def test_a_task_that_a_fixture_ends_is_no_leak(project: Any) -> None:
    result = project.run(
        """
    tasks = []

    @pytest.fixture
    async def reaper():
        yield
        for task in tasks:
            task.cancel()

    @pytest.mark.uno_async
    async def test_it(reaper):
        tasks.append(asyncio.create_task(asyncio.sleep(60)))
    """
    )
    assert project.outcomes(result) == {"passed": 1}


@pytest.mark.parametrize("scope", ["function", "class", "module", "package", "session"])
def test_a_fixture_that_leaks_is_named_at_teardown(project: Any, scope: str) -> None:
    result = project.run(
        f"""
    @pytest.fixture(scope="{scope}")
    async def worker():
        yield asyncio.create_task(asyncio.Event().wait(), name="left")

    @pytest.mark.uno_async
    async def test_first(worker): ...

    @pytest.mark.uno_async
    async def test_it(worker): ...
    """,
        "--uno-report=json:leaks.json",
    )
    assert project.outcomes(result) == (
        {"passed": 2, "errors": 2} if scope == "function" else {"passed": 2, "errors": 1}
    )
    result.stdout.fnmatch_lines(
        ["*ERROR at teardown of test_it*", "*UNO101*'left'*", f"*fixture 'worker' ({scope}, test_it.py:*"]
    )
    (found,) = project.leaks()
    assert found["rule"] == "UNO101"


def test_a_coroutine_dropped_in_a_fixture_is_the_fixtures(project: Any) -> None:
    result = project.run(
        """
    async def work(): ...

    @pytest.fixture
    async def in_setup():
        work()

    @pytest.fixture
    async def in_teardown():
        yield
        work()

    @pytest.fixture(scope="module")
    def wide_and_sync():
        work()
        yield
        work()

    @pytest.mark.uno_async
    async def test_setup(in_setup): ...

    @pytest.mark.uno_async
    async def test_teardown(in_teardown): ...

    @pytest.mark.uno_async
    async def test_wide(wide_and_sync): ...
    """,
        "-W",
        "error",
    )
    assert project.outcomes(result) == {"passed": 3, "errors": 3}
    for name in ("in_setup", "in_teardown", "wide_and_sync"):
        assert project.lines_with(result, f"fixture '{name}'"), name


def test_a_test_that_leaks_into_a_wide_loop_fails_alone(project: Any) -> None:
    result = project.run(
        """
    pytestmark = pytest.mark.uno_async(loop_scope="module")

    async def test_leaks():
        asyncio.create_task(asyncio.Event().wait(), name="left")

    async def test_clean():
        names = [task.get_name() for task in asyncio.all_tasks()]
        assert "left" not in names
    """
    )
    assert project.outcomes(result) == {"failed": 1, "passed": 1}


def test_a_session_service_may_start_tasks_while_a_test_runs(project: Any) -> None:
    result = project.run(
        """
    class Hub:
        def __init__(self):
            self.queue, self.kids = asyncio.Queue(), set()
            self.main = asyncio.create_task(self.run())

        async def run(self):
            while True:
                await self.queue.get()
                self.kids.add(asyncio.create_task(asyncio.Event().wait()))

        async def close(self):
            for task in (self.main, *self.kids):
                task.cancel()
            await asyncio.gather(self.main, *self.kids, return_exceptions=True)

    @pytest.fixture(scope="session")
    async def hub():
        hub = Hub()
        yield hub
        await hub.close()

    class Pool:
        def __init__(self):
            self.tasks = []

        def start(self):
            self.tasks.append(asyncio.create_task(asyncio.Event().wait()))

    @pytest.fixture(scope="session")
    async def pool():
        pool = Pool()
        yield pool
        for task in pool.tasks:
            task.cancel()

    pytestmark = pytest.mark.uno_async

    async def test_hub(hub):
        hub.queue.put_nowait(1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert hub.kids

    async def test_pool(pool):
        pool.start()

    async def test_again(hub, pool):
        hub.queue.put_nowait(1)
    """
    )
    assert project.outcomes(result) == {"passed": 3}


def test_exceptions_in_the_background_go_to_the_users_handler_when_it_is_set(project: Any) -> None:
    result = project.run(
        """
    @pytest.mark.uno_async
    async def test_it():
        seen = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: seen.append(context))
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)
        assert isinstance(seen[0]["exception"], ZeroDivisionError)
    """
    )
    assert project.outcomes(result) == {"passed": 1}


def test_loop_messages_without_an_exception_are_handed_on(project: Any) -> None:
    project.file(
        "conftest.py",
        """
    @pytest.fixture(scope="session")
    async def handler():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: print("HANDLED", context["message"]))
    """,
    )
    result = project.run(
        """
    @pytest.mark.uno_async
    async def test_default(caplog):
        asyncio.get_running_loop().call_exception_handler({"message": "only words"})
        assert "only words" in caplog.text

    @pytest.mark.uno_async
    async def test_users(handler, capsys):
        asyncio.get_running_loop().call_exception_handler({"message": "only words"})
        assert capsys.readouterr().out == "HANDLED only words\\n"
    """
    )
    assert project.outcomes(result) == {"passed": 2}


def test_a_late_leak_of_an_earlier_test_is_that_tests(project: Any) -> None:
    result = project.run(
        """
    pytestmark = pytest.mark.uno_async(loop_scope="module")
    go = []

    async def test_arms_a_callback():
        def spawn():
            asyncio.create_task(asyncio.Event().wait(), name="late")
        go.append(asyncio.Future())
        go[0].add_done_callback(lambda _: spawn())

    async def test_innocent():
        go[0].set_result(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def test_last(): ...
    """
    )
    assert project.outcomes(result) == {"passed": 3, "errors": 1}
    result.stdout.fnmatch_lines(
        ["*ERROR at teardown of test_innocent*", "*UNO101*'late'*", "*owner *test test_arms_a_callback*"]
    )


def test_a_wide_fixture_is_blamed_when_it_ends_although_its_loop_goes_on(project: Any) -> None:
    leaky = """
    @pytest.fixture(scope="module")
    async def wide():
        yield asyncio.create_task(asyncio.Event().wait(), name="left")

    @pytest.mark.uno_async
    async def test_leaky(wide): ...
    """
    project.file("test_a.py", leaky)
    project.file(
        "test_b.py",
        """
    @pytest.mark.uno_async(loop_scope="session")
    async def test_next(): ...

    @pytest.mark.uno_async(loop_scope="session")
    async def test_last(): ...
    """,
    )
    result = project.run()
    assert project.outcomes(result) == {"passed": 3, "errors": 1}
    assert not project.lines_with(result, "ERROR at teardown of test_last")
    result.stdout.fnmatch_lines(["*UNO101*'left'*", "*fixture 'wide' (module, test_a.py:*"])


def test_what_unjudged_tests_leave_is_nobody_elses(project: Any) -> None:
    result = project.run(
        """
    import gc, warnings
    kept = []

    async def work(): ...

    async def boom():
        raise ValueError("lost")

    @pytest.fixture
    def dropper():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            work()

    @pytest.mark.uno_async
    async def test_before(): ...

    @pytest.mark.uno_async(leaks="off")
    async def test_off(dropper):
        kept.append(work())
        kept.append(asyncio.create_task(boom()))
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            work()
        assert "never awaited" in str(seen[0].message)

    @pytest.mark.asyncio
    async def test_asyncio(dropper):
        kept.append(work())
        kept.append(asyncio.create_task(boom()))

    def test_sync(dropper):
        kept.append(work())

    @pytest.mark.uno_async
    async def test_after():
        gc.collect()

    def test_clean_up():
        for thing in kept:
            if asyncio.iscoroutine(thing):
                thing.close()
            else:
                thing.cancel() or thing.exception()
    """
    )
    assert project.outcomes(result) == {"passed": 6}


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
