"""Ctrl-C: the run ends at once, fixtures are torn down, nothing is blamed."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize("scope", ["function", "session"])
@pytest.mark.parametrize("how", ["signal.raise_signal(signal.SIGINT)", "raise KeyboardInterrupt"])
def test_interrupted_in_a_test(project: Any, scope: str, how: str) -> None:
    result = project.run_apart(
        f"""
    import signal
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs inherit SIG_IGN

    @pytest.fixture(scope="{scope}")
    async def f():
        asyncio.create_task(asyncio.Event().wait(), name="left")
        yield
        print("TORN DOWN")

    @pytest.mark.uno_async
    async def test_it(f):
        {how}
        await asyncio.Event().wait()

    @pytest.mark.uno_async
    async def test_never(): ...
    """,
        "-s",
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*TORN DOWN*", "*KeyboardInterrupt*"])
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("scope", ["function", "session"])
def test_interrupted_while_the_clock_is_held(project: Any, scope: str) -> None:
    result = project.run_apart(
        f"""
    import os, signal, threading
    signal.signal(signal.SIGINT, signal.default_int_handler)

    @pytest.mark.uno_async(loop_scope="{scope}")
    async def test_it(uno_clock):
        with uno_clock.hold("the user"):
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
            try:
                await asyncio.Event().wait()
            finally:
                print("UNWOUND")
    """,
        "-s",
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*UNWOUND*", "*KeyboardInterrupt*"])
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()


def test_two_interrupts_break_a_test_that_does_not_listen(project: Any) -> None:
    result = project.run_apart(
        """
    import signal
    signal.signal(signal.SIGINT, signal.default_int_handler)

    @pytest.mark.uno_async
    async def test_it():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    """
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
