"""The suites, how each is run, and what is expected to be found in it.

A suite is written for some plugin of its own; in these runs pytest-asyncio runs its tests in auto mode, with and
without pytest-uno, so that nothing but pytest-uno makes a difference.

- aiosqlite's tests are an `IsolatedAsyncioTestCase`, which runs a loop of its own: `adopt_unittest_tests`.
- httpx's and anyio's are written for anyio's plugin, on several backends: `adopt_anyio_tests`, on asyncio alone.
- aiojobs's are written for pytest-aiohttp and the auto mode of pytest-asyncio, and stay as they are.
- janus, for pytest-asyncio, is the fifth: queues between loops and threads, locks, executors, calls into the loop
  from outside of it, and tests that block the loop on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SUITES", "Deselected", "Finding", "RealTime", "Suite"]


@dataclass(frozen=True)
class Finding:
    """A finding that is known to be true.

    Attributes:
        rule: its rule.
        created: file and function of the innermost frame of its creation.
        tests: the tests that show it, in the notation of pytest.
        reason: why it is true.
        reduced: the test in `tests/peer/reduced/` that proves it with asyncio alone.
        clock: the clock on which it is found; empty for both.
    """

    rule: str
    created: str
    tests: tuple[str, ...]
    reason: str
    reduced: str
    clock: str = ""


@dataclass(frozen=True)
class Deselected:
    """Tests that are not run.

    Attributes:
        options: the options of pytest that leave them out.
        reason: why.
    """

    options: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class RealTime:
    """A test that needs real time, and is not run on the virtual clock.

    Attributes:
        test: the test in the notation of pytest, without parameters.
        reason: why.
    """

    test: str
    reason: str


@dataclass(frozen=True)
class Suite:
    """A suite in the source distribution of a project.

    Attributes:
        project: the project.
        version: its version, which must be the installed one.
        tests: what pytest is to collect.
        fewest: fewer tests than these cannot be the suite.
        hidden: the package beside the tests, which are to import the installed one.
        options: more options of pytest: the plugins that make its tests plain async tests.
        deselected: what is not run.
        real_time: what is run on the real clock alone.
        findings: what must be found, and nothing else.
    """

    project: str
    version: str
    tests: tuple[str, ...]
    fewest: int
    hidden: str = ""
    options: tuple[str, ...] = ()
    deselected: tuple[Deselected, ...] = ()
    real_time: tuple[RealTime, ...] = ()
    findings: tuple[Finding, ...] = ()


NETWORK = Deselected(("-m", "not network"), "they connect to hosts elsewhere")

AIOSQLITE = Suite(
    project="aiosqlite",
    version="0.22.1",
    tests=("aiosqlite/tests/smoke.py",),
    fewest=30,
    options=("-p", "no:anyio", "-p", "adopt_unittest_tests"),
)

HTTPX = Suite(
    project="httpx",
    version="0.28.1",
    tests=("tests",),
    fewest=1200,
    hidden="httpx",
    options=("-p", "no:anyio", "-p", "adopt_anyio_tests"),
    deselected=(NETWORK,),
    real_time=tuple(
        RealTime(
            f"tests/test_timeouts.py::{name}",
            "a time-out of microseconds against a server in another thread: virtual time stands still while the "
            "server is at work, so that the answer comes first",
        )
        for name in (
            "test_read_timeout",
            "test_write_timeout",
            "test_pool_timeout",
            "test_async_client_new_request_send_timeout",
        )
    ),
)

AIOJOBS = Suite(
    project="aiojobs",
    version="1.4.0",
    tests=("tests",),
    fewest=55,
    hidden="aiojobs",
    options=("-p", "no:anyio"),
    findings=(
        Finding(
            rule="UNO103",
            created="tests/test_scheduler.py:test_wait_and_close_timeout",
            tests=("tests/test_scheduler.py::test_wait_and_close_timeout",),
            reason="the job `outer` catches the cancellation by its scheduler and returns, so its task is done and "
            "not cancelled; the test means it to.",
            reduced="test_swallowed_cancellation.py",
        ),
        Finding(
            rule="UNO103",
            created="tests/test_scheduler.py:test_wait_and_close_timeout_shield",
            tests=("tests/test_scheduler.py::test_wait_and_close_timeout_shield",),
            reason="the same, while it waits for a shielded job.",
            reduced="test_swallowed_cancellation.py",
        ),
        Finding(
            rule="UNO104",
            created="tests/test_job.py:test_job_close_closed.<locals>.coro1",
            tests=("tests/test_job.py::test_job_close_closed",),
            reason="the job raises, aiojobs hands the exception to the loop's handler, and the test closes the job, "
            "which is over by then, and never sees the exception.",
            reduced="test_error_for_the_handler_alone.py",
        ),
    ),
)

ANYIO = Suite(
    project="anyio",
    version="4.16.0",
    tests=("tests",),
    fewest=1000,
    options=("-p", "no:anyio", "-p", "adopt_anyio_tests", "--timeout=60"),
    deselected=(
        NETWORK,
        Deselected(("--ignore=tests/test_pytest_plugin.py",), "they are about anyio's plugin"),
        Deselected(
            ("--deselect=tests/test_to_thread.py::TestBlockingPortalProvider::test_single_thread",),
            "it counts the threads of the process, of which those of earlier tests end meanwhile: it fails "
            "now and then, without pytest-uno as well",
        ),
        Deselected(
            ("-k", "not ipv6 and not dualstack and not multi"),
            "whether the host has IPv6, and a `localhost` with two addresses, differs from machine to machine",
        ),
    ),
    real_time=(
        RealTime(
            "tests/test_sockets.py::TestTCPStream::test_receive_timeout",
            "it waits for 0.3 seconds of real time, and its server sleeps in a thread, which holds the virtual clock",
        ),
        RealTime(
            "tests/test_taskgroups.py::test_fail_after_scope_cancelled_before_timeout",
            "an expected failure: it lets a deadline pass with `time.sleep`, in which no virtual time passes",
        ),
    ),
    findings=(
        Finding(
            rule="UNO404",
            created="tests/test_sockets.py:TestTCPStream.test_receive_timeout.<locals>.serve",
            tests=("tests/test_sockets.py::TestTCPStream::test_receive_timeout[ipv4]",),
            reason="the connection is closed by a thread that sleeps for a second, while the test ends after a tenth.",
            reduced="test_thread_that_outlives_its_test.py",
            clock="real",
        ),
        Finding(
            rule="UNO407",
            created="tests/test_sockets.py:TestTCPStream.test_receive_timeout",
            tests=("tests/test_sockets.py::TestTCPStream::test_receive_timeout[ipv4]",),
            reason="the same thread: nobody joins it, and it runs on into the tests that follow.",
            reduced="test_thread_that_outlives_its_test.py",
            clock="real",
        ),
    ),
)

JANUS = Suite(
    project="janus",
    version="2.0.0",
    tests=("tests/test_async.py", "tests/test_mixed.py", "tests/test_sync.py"),
    fewest=95,
    hidden="janus",
    options=("-p", "no:anyio"),
    findings=(
        Finding(
            rule="UNO601",
            created="tests/test_sync.py:BaseQueueTestMixin.test_simple_queue",
            tests=(
                "tests/test_sync.py::TestQueue::test_simple_queue",
                "tests/test_sync.py::TestLifoQueue::test_simple_queue",
                "tests/test_sync.py::TestPriorityQueue::test_simple_queue",
            ),
            reason="the test is about the side of the queue for threads, and uses it in the thread of the loop: "
            "eight times it waits for a thread that sleeps for 0.1 seconds, with no `await` between.",
            reduced="test_blocked_loop.py",
        ),
        Finding(
            rule="UNO601",
            created="tests/test_sync.py:TestFailingQueue.test_failing_queue",
            tests=("tests/test_sync.py::TestFailingQueue::test_failing_queue",),
            reason="the same, with a queue that fails.",
            reduced="test_blocked_loop.py",
        ),
    ),
)

SUITES = (AIOSQLITE, HTTPX, AIOJOBS, ANYIO, JANUS)
