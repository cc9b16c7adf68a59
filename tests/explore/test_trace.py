"""Who ran when is the same in each run of a schedule, whatever the system chooses."""

from __future__ import annotations

import asyncio
from functools import partial

from pytest_uno.explore import explore
from pytest_uno.explore.operations import IO, Operation
from pytest_uno.explore.run import run_schedule
from pytest_uno.explore.settings import Settings
from pytest_uno.explore.strategies.holds import Holds
from pytest_uno.explore.strategies.stock import Stock
from pytest_uno.explore.trace import HELD, Step, Tracer


class Echo(asyncio.Protocol):
    """Sends back what comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Client(asyncio.Protocol):
    """Notes that its answer came; no task waits for it."""

    def __init__(self, answers: list[int], number: int) -> None:
        self.answers = answers
        self.number = number

    def data_received(self, data: bytes) -> None:
        self.answers.append(self.number)


async def answers_in_order() -> None:
    loop = asyncio.get_running_loop()
    answers: list[int] = []
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    transports = []
    for number in range(2):
        transport, _ = await loop.create_connection(partial(Client, answers, number), *address)
        transport.write(b"x")
        transports.append(transport)
    await asyncio.sleep(2)
    for transport in transports:
        transport.close()
    server.close()
    await asyncio.sleep(2)
    assert answers == [0, 1]


def test_a_socket_without_a_task_is_named_by_its_protocol() -> None:
    report = explore(answers_in_order)
    assert isinstance(report.failure, AssertionError)
    assert report.is_deterministic, report.explanation
    assert "Echo#1 was slow   (socket)" in report.explanation or "Client#1 was slow   (socket)" in (
        report.explanation
    )


async def many_exchanges() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    client, _ = await loop.create_connection(partial(Client, [], 0), *server.sockets[0].getsockname())
    for _ in range(6):
        client.write(b"x")
        await asyncio.gather(asyncio.to_thread(int), asyncio.to_thread(int))
    client.close()
    server.close()
    await asyncio.sleep(1)


def test_a_socket_keeps_its_name_in_a_schedule() -> None:
    def held() -> list[str]:
        outcome = run_schedule(many_exchanges, Holds(range(0, 60, 2)), Settings(), tracer=Tracer())
        assert outcome.error is None
        return [step.who for step in outcome.steps if step.kind == HELD]

    names = held()
    assert names.count("Echo#1") > 1
    assert "Echo#2" not in names
    assert held() == names


def steps_of(*, calls: bool) -> list[Step]:
    async def program() -> None:
        task = asyncio.create_task(asyncio.sleep(1, "done"))
        if calls:
            asyncio.get_running_loop().call_soon(task.cancel).cancel()
        assert await task == "done"

    return run_schedule(program, Stock(), Settings(), tracer=Tracer()).steps


def test_a_cancelled_call_to_a_task_is_no_step() -> None:
    assert steps_of(calls=True) == steps_of(calls=False) != []


def test_an_operation_shows_what_it_is() -> None:
    assert repr(Operation(IO, 1.5, 2.0, 7, None, None, None)) == "<io #7 due 1.5>"
