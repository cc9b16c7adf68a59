"""Coroutines that another thread has just made when a test is judged, as a server does that runs in one."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

WAITING = 10
"""Real seconds that nobody waits for unless something is broken."""


async def handle() -> None:
    await asyncio.sleep(0)


class Server:
    """Makes a coroutine in a thread of its own, and runs it when it is told to."""

    def __init__(self) -> None:
        self.made, self.may_run, self.runs, self.may_end = (threading.Event() for _ in range(4))
        self.thread = threading.Thread(target=self.serve)

    def serve(self) -> None:
        coroutine = handle()
        self.made.set()
        self.may_run.wait(WAITING)
        coroutine.send(None)
        self.runs.set()
        self.may_end.wait(WAITING)
        coroutine.close()


def test_one_that_is_about_to_run_is_no_leak(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    looks: list[object] = []

    def look_again(thing: object, is_candidate: Any = bench.detection._is_candidate) -> bool:
        looks.append(thing)
        if len(looks) > 1:  # the moment has begun
            server.may_run.set()
            assert server.runs.wait(WAITING)
        return bool(is_candidate(thing))

    async def test() -> None:
        server.thread.start()
        assert server.made.wait(WAITING)

    monkeypatch.setattr(bench.detection, "_is_candidate", look_again)
    findings = bench.run_test(test)
    server.may_run.set()
    server.may_end.set()
    server.thread.join()
    assert [finding.rule for finding in findings] == ["UNO407"]


def test_one_that_is_kept_is_a_leak(bench: Any) -> None:
    parked = threading.Event()
    thread = threading.Thread(target=parked.wait, args=(WAITING,))
    kept: list[Any] = []
    thread.start()

    async def test() -> None:
        kept.append(handle())

    findings = bench.run_test(test)
    parked.set()
    thread.join()
    assert [finding.rule for finding in findings] == ["UNO201"]
