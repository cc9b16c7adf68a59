"""Blocked loops, in whole runs."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("collected")

# A block lasts many times as long as it may, so that it is seen on a machine that is busy with other things.
PRELUDE = """
    import time
    uno = pytest.mark.uno_async
    def block():
        time.sleep(0.3)
"""
LIMIT = "--uno-block-ms=20"


@pytest.mark.parametrize("clock", ["virtual", "real"])
def test_a_test_that_blocks_is_warned_of(project: Any, clock: str) -> None:
    result = project.run(
        f"""{PRELUDE}
    @uno(clock="{clock}")
    async def test_blocks():
        block()
    @uno(clock="{clock}")
    async def test_innocent():
        await asyncio.sleep(0.1)
        await asyncio.to_thread(time.sleep, 0.1)
    """,
        LIMIT,
        "--uno-report=json",
    )
    assert project.outcomes(result) == {"passed": 2, "warnings": 1}
    result.stdout.fnmatch_lines(
        [
            "*UnoLeakWarning: UNO601 *test_blocks() blocked the event loop*",
            "*created*in block",
            "*time.sleep(0.3)*",
            "*called from*in test_blocks",
            "*for longer than uno_block_ms = 20*",
        ]
    )
    (leak,) = project.leaks()
    assert leak["rule"] == "UNO601"


@pytest.mark.parametrize("scope", ["function", "module", "session"])
def test_a_fixture_that_blocks_is_warned_of(project: Any, scope: str) -> None:
    result = project.run(
        f"""{PRELUDE}
    @pytest.fixture(scope="{scope}")
    async def slow():
        block()
        yield
    @pytest.mark.uno_async(loop_scope="{scope}")
    async def test_uses(slow): pass
    """,
        LIMIT,
    )
    assert project.outcomes(result) == {"passed": 1, "warnings": 1}
    result.stdout.fnmatch_lines(["*UNO601 *slow() blocked the event loop*", "*fixture*slow*"])


@pytest.mark.parametrize(
    ("ini", "flags", "mark", "outcomes"),
    [
        ("uno_block_ms = 20", (), "uno", {"passed": 1, "warnings": 1}),
        ("uno_block_ms = 20", ("--uno-block-ms=0",), "uno", {"passed": 1}),
        ("", ("--uno-block-ms=60000",), "uno", {"passed": 1}),
        ("", (LIMIT, "--uno-leak-level=UNO601=error"), "uno", {"failed": 1}),
        ("", (LIMIT,), "uno(leaks={'UNO601': 'off'})", {"passed": 1}),
        ("", (LIMIT, "--uno-leaks=off"), "uno", {"passed": 1}),
    ],
)
def test_the_limit_and_the_level(
    project: Any, ini: str, flags: tuple[str, ...], mark: str, outcomes: dict[str, int]
) -> None:
    project.ini(ini)
    result = project.run(
        f"""{PRELUDE}
    @{mark}
    async def test_blocks():
        block()
    """,
        *flags,
    )
    assert project.outcomes(result) == outcomes


@pytest.mark.parametrize("value", ["soon", "-1", "inf", "nan", ""])
def test_a_bad_limit_is_a_usage_error(project: Any, value: str) -> None:
    result = project.run(PRELUDE, f"--uno-block-ms={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            f"*--uno-block-ms: '{value}' is not a number of milliseconds*",
            "*fix: give milliseconds as a number*",
        ]
    )


def test_a_test_may_expect_it(project: Any) -> None:
    result = project.run(
        f"""{PRELUDE}
    @uno
    async def test_blocks(uno_leaks):
        with uno_leaks.expect("UNO601", match="blocked"):
            block()
    """,
        LIMIT,
        "-W",
        "error",
    )
    assert project.outcomes(result) == {"passed": 1}


def test_what_is_nobodys_block(project: Any) -> None:
    project.file("slow_to_import.py", "import time; time.sleep(0.2)")
    project.ini("pythonpath = .")
    result = project.run(
        f"""{PRELUDE}
    @pytest.fixture
    def slow():
        block()
    @uno
    async def test_imports(slow):
        import slow_to_import
        await asyncio.sleep(0)
    def test_sync():
        block()
    @pytest.mark.asyncio
    async def test_not_ours():
        block()
    """,
        LIMIT,
        "-W",
        "error",
    )
    assert project.outcomes(result) == {"passed": 3}


def test_a_test_that_is_stopped_is_not_reported_as_well(project: Any) -> None:
    result = project.run(
        """
    @pytest.mark.uno_async(real_timeout=0.3)
    async def test_hangs():
        import time
        time.sleep(60)
    """,
        LIMIT,
    )
    assert project.outcomes(result) == {"failed": 1}
    result.stdout.fnmatch_lines(["*HangError*"])


def test_the_thread_is_seen_by_nobody(project: Any) -> None:
    result = project.run(
        """
    import os, threading
    @pytest.mark.uno_async
    async def test_counts():
        assert threading.active_count() == len(threading.enumerate())
        assert not [each for each in threading.enumerate() if "uno" in each.name.lower()]
        await asyncio.sleep(3600)
        assert uno_time() == 3600
    def uno_time():
        return asyncio.get_running_loop().time()
    """,
        LIMIT,
        "-W",
        "error",
    )
    assert project.outcomes(result) == {"passed": 1}
