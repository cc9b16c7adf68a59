"""Replies from outside: what is on offer does not depend on which server is faster, or on how fast it is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Generator
from typing import Any

import pytest

from pytest_uno.clock.selector import Events
from pytest_uno.explore.intake_loop import _name_of
from pytest_uno.explore.run import Outcome, Surroundings, run_schedule
from pytest_uno.explore.schedule_loop import ScheduleLoop
from pytest_uno.explore.tokens import parse_token
from pytest_uno.explore.trace import Tracer
from tests.explore.programs.socket_bugs import ask

TOKENS = ["io:1", "io:pos.1.3", "yield:pos.0.3"]

with_each_schedule = pytest.mark.parametrize("token", TOKENS)


class Server:
    """Echoes lines while the loop looks at its sockets: without a thread, so that each moment is exact.

    Args:
        is_fast: it answers before any look at the sockets; otherwise only while the loop waits for them.
        is_reversed: of what has come, the sockets made last are reported first.
    """

    def __init__(self, *, is_fast: bool = True, is_reversed: bool = False) -> None:
        self._is_fast = is_fast
        self._is_reversed = is_reversed
        self._clients: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]

    def attach(self, loop: ScheduleLoop) -> None:
        """Serve a loop."""
        select: Callable[[float | None], Events] = loop._select

        def answer_and_select(seconds: float | None) -> Events:
            if self._is_fast or seconds != 0:
                self._answer()
            return sorted(select(seconds), key=lambda event: event[0].fd, reverse=self._is_reversed)

        loop._select = answer_and_select

    def _answer(self) -> None:
        try:
            while True:
                self._clients.append(self._listener.accept()[0])
                self._clients[-1].setblocking(False)
        except BlockingIOError:
            pass
        for client in self._clients:
            try:
                client.sendall(client.recv(100))
            except BlockingIOError:
                continue

    def close(self) -> None:
        """Close every socket."""
        for one in (self._listener, *self._clients):
            one.close()


Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Generator[Serve]:
    """Make servers."""
    made: list[Server] = []

    def make(**options: Any) -> Server:
        made.append(Server(**options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def run(server: Server, token: str, *lines: str) -> Outcome:
    """Let two clients at a time ask."""

    async def main() -> None:
        for _ in range(3):
            asked = await asyncio.gather(*(ask(server.port, *lines) for _ in range(2)))
            assert asked == [list(lines)] * 2

    parsed = parse_token(token)
    surroundings = Surroundings(opened=server.attach)
    outcome = run_schedule(main, parsed.strategy(), parsed.settings, surroundings, Tracer())
    assert outcome.error is None
    assert outcome.steps
    return outcome


@with_each_schedule
def test_it_does_not_matter_which_reply_is_first(serve: Serve, token: str) -> None:
    one = run(serve(), token, "a")
    other = run(serve(is_reversed=True), token, "a")
    assert (other.steps, other.decisions) == (one.steps, one.decisions)


@with_each_schedule
def test_it_does_not_matter_when_a_reply_on_a_kept_connection_comes(serve: Serve, token: str) -> None:
    one = run(serve(), token, "a", "b", "c")
    other = run(serve(is_fast=False), token, "a", "b", "c")
    assert (other.steps, other.decisions) == (one.steps, one.decisions)


@with_each_schedule
def test_what_is_brought_is_not_on_offer_again(serve: Serve, token: str) -> None:
    """It is reported until it has been read, which is after the next look at the sockets."""
    server = serve()

    async def main() -> None:
        assert await ask(server.port, "a") == ["a"]

    parsed = parse_token(token)
    outcome = run_schedule(main, parsed.strategy(), parsed.settings, Surroundings(opened=server.attach))
    assert outcome.error is None
    assert outcome.decisions == []  # there is one thing at a time


def test_a_server_that_is_closed_has_no_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert _name_of(server) == server.getsockname()
    assert _name_of(server) is None
    assert _name_of(None) is None
