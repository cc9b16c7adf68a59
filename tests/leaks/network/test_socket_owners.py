"""Whose a socket is: of a task, a wider fixture, a library or a thread."""

from __future__ import annotations

import _thread
import asyncio
import socket
import threading
from typing import Any

from pytest_uno.leaks.owners import Owner
from tests.leaks.examples import nothing

KEPT: list[Any] = []


def test_the_socket_that_a_leaked_task_uses_goes_with_the_task(bench: Any) -> None:
    fixture = Owner("fixture", "other end", "session")

    async def make_pair() -> tuple[socket.socket, socket.socket]:
        return socket.socketpair()

    theirs = bench.run_as(fixture, make_pair)

    async def receive() -> None:
        sock = theirs[0].dup()
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_recv(sock, 1)

    async def test() -> None:
        KEPT.append(asyncio.create_task(receive()))
        await asyncio.sleep(0.01)

    (finding,) = bench.run_test(test, loop_ends=False)
    assert finding.rule == "UNO101"
    KEPT.clear()
    for sock in theirs:
        sock.close()
    assert bench.run_test(nothing) == []


def test_a_socket_that_a_wider_fixture_holds_is_the_fixtures(bench: Any) -> None:
    pool: list[socket.socket] = []
    fixture = Owner("fixture", "pool", "session")
    bench.detection.retain(fixture, pool)

    async def test() -> None:
        pool.append(socket.socket())

    assert bench.run_test(test, loop_ends=False) == []
    assert bench.run_test(nothing, loop_ends=False) == []
    assert pool[0].fileno() >= 0
    fixture.ended = True
    (finding,) = bench.run_test(nothing)
    assert (finding.rule, finding.owner.name) == ("UNO404", "pool")


def test_the_socket_of_a_wider_fixture_survives_the_end_of_a_loop(bench: Any) -> None:
    fixture = Owner("fixture", "hub", "session")

    async def keep_one() -> None:
        KEPT.append(socket.socket())

    bench.run_as(fixture, keep_one)
    assert bench.run_test(nothing, loop_ends=False) == []
    assert bench.detection.judge_loop(bench.loop, default_owner=Owner("session", "")) == []
    fixture.ended = True
    bench.detection.release(fixture)
    (finding,) = bench.detection.drain()
    assert (finding.rule, finding.owner.name) == ("UNO404", "hub")
    KEPT.clear()


def test_what_a_library_opens_by_itself_is_its_own_affair(bench: Any) -> None:
    library: dict[str, Any] = {"socket": socket}
    code = compile("def connect():\n    kept.append(socket.socket())", "<frozen library>", "exec")
    exec(code, library)
    library["kept"] = KEPT

    async def by_itself() -> None:
        asyncio.get_running_loop().call_soon(library["connect"])
        await asyncio.sleep(0)

    async def for_the_user() -> None:
        library["connect"]()

    assert bench.run_test(by_itself) == []
    KEPT.pop().close()
    (finding,) = bench.run_test(for_the_user)
    assert finding.created[0].function.endswith("for_the_user")
    KEPT.clear()


def test_a_socket_of_a_bare_thread_is_the_tests(bench: Any) -> None:
    done = threading.Event()

    def work() -> None:
        KEPT.append(socket.socket())
        done.set()

    async def test() -> None:
        _thread.start_new_thread(work, ())
        assert done.wait(30)

    (finding,) = bench.run_test(test)
    assert finding.rule == "UNO404"
    KEPT.clear()
