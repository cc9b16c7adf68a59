"""The event loops that `clock.py` compares, each behind the same call."""

from __future__ import annotations

import asyncio
import importlib
import signal
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

from pytest_uno.clock import VirtualEventLoop

OURS, REAL = "pytest-uno", "asyncio"
HANGS_AFTER = 300  # real seconds

Main = Callable[[], Awaitable[Any]]


class HangError(BaseException):
    """A contender did not end; not an `Exception`, so that no benchmark takes it for a result."""


def run_with(make_loop: Callable[[], asyncio.AbstractEventLoop], main: Main) -> Any:
    """Run `main()` on a loop of its own and return its result."""

    async def call() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        return await main()

    def raise_hang(number: int, frame: FrameType | None) -> None:
        raise HangError

    before = signal.signal(signal.SIGALRM, raise_hang)
    signal.alarm(HANGS_AFTER)
    try:
        with asyncio.Runner(loop_factory=make_loop) as runner:
            return runner.run(call())
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def run_ours(main: Main) -> Any:
    """Run on the virtual loop."""
    return run_with(VirtualEventLoop, main)


def run_real(main: Main) -> Any:
    """Run on asyncio's own loop, in real time."""
    return run_with(asyncio.SelectorEventLoop, main)


def run_looptime(main: Main) -> Any:
    """Run on a loop of looptime."""
    looptime = importlib.import_module("looptime")
    return run_with(lambda: looptime.new_event_loop(start=0), main)


def run_solipsism(main: Main) -> Any:
    """Run on a loop of async-solipsism, which has no network but its own."""
    async_solipsism = importlib.import_module("async_solipsism")
    return run_with(async_solipsism.EventLoop, main)


def run_aiotools(main: Main) -> Any:
    """Run on asyncio's own loop, patched by aiotools."""
    aiotools = importlib.import_module("aiotools")

    async def patched() -> Any:
        with aiotools.VirtualClock().patch_loop():
            return await main()

    return run_with(asyncio.SelectorEventLoop, patched)


_PEERS = {
    "looptime": ("looptime", run_looptime),
    "async-solipsism": ("async_solipsism", run_solipsism),
    "aiotools": ("aiotools", run_aiotools),
}


def find_contenders() -> dict[str, Callable[[Main], Any]]:
    """Return what runs a coroutine on each loop that is installed; say what is not."""
    contenders = {OURS: run_ours}
    for name, (module, run) in _PEERS.items():
        try:
            importlib.import_module(module)
        except ImportError:
            print(f"{name} is not installed and left out (pip install --group clock-benchmark)")
        else:
            contenders[name] = run
    return {**contenders, REAL: run_real}
