"""The same leak has the same fingerprint in two versions of a project, and on every supported Python."""

from __future__ import annotations

from typing import Any

BEFORE = """
import socket

KEPT = []

async def poll(queue):
    await queue.get()

class Poller:
    def start(self):
        return asyncio.create_task(poll(asyncio.Queue()), name="receipts")

    def schedule(self):
        asyncio.get_running_loop().call_later(60, self.start)

def open_socket():
    KEPT.append(socket.socket())

def forget():
    poll(None)

@pytest.mark.uno_async
async def test_leaks():
    Poller().start()
    Poller().schedule()
    open_socket()
    forget()
    await asyncio.sleep(0)
"""

AFTER = '''
"""Moved by a docstring, reformatted, with other names of tests and tasks."""

import socket

KEPT = []


async def poll(queue):
    """Wait for a receipt."""
    await queue.get()


class Poller:
    def stop(self): ...

    def start(self):
        task = asyncio.create_task(
            poll(
                asyncio.Queue(),
            ),
            name="receipts of today",
        )
        return task

    def schedule(self):
        loop = asyncio.get_running_loop()
        loop.call_later(
            60,
            self.start,
        )


def open_socket():
    opened = socket.socket()
    KEPT.append(opened)


def forget():
    (
        poll(None)
    )


@pytest.mark.uno_async
@pytest.mark.parametrize("day", [1, 2])
async def test_of_another_name(day):
    Poller().schedule()
    forget()
    open_socket()
    Poller().start()
    await asyncio.sleep(0)
'''

FINGERPRINTS = {
    "UNO101": "e00afccfc9a3b2a8",
    "UNO201": "4a3e4c47afa5ba89",
    "UNO203": "337ae5115f6686e2",
    "UNO404": "f50fb8bfa8ffbd37",
}
"""As every version of Python must find them: what a baseline holds must not change with the interpreter."""


def find(project: Any, source: str) -> dict[str, str]:
    project.run(source, "--uno-report=json")
    return {leak["rule"]: leak["fingerprint"] for leak in project.leaks()}


def test_the_fingerprint_survives_what_leaves_the_leak_as_it_is(project: Any) -> None:
    assert find(project, BEFORE) == FINGERPRINTS
    assert find(project, AFTER) == FINGERPRINTS


def test_another_creator_is_another_leak(project: Any) -> None:
    changed = find(project, BEFORE.replace("start(", "begin("))
    assert {rule for rule, fingerprint in changed.items() if FINGERPRINTS[rule] != fingerprint} == {"UNO101"}
