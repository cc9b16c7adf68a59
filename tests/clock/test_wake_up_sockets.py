"""The pair of sockets that loops hand on: what the next one may rely on, whatever has become of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
from collections.abc import Iterator

import pytest

from pytest_uno.clock import VirtualEventLoop
from pytest_uno.clock.wake_up_sockets import WakeUpSockets

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sockets are no files there: no pair is kept")


@pytest.fixture
def wake_up() -> Iterator[WakeUpSockets]:
    with contextlib.closing(WakeUpSockets()) as sockets:
        yield sockets


def descriptor_of_one_loop(wake_up: WakeUpSockets) -> int:
    """Make a loop, let a thread wake it, and close it."""
    with contextlib.closing(VirtualEventLoop(wake_up=wake_up)) as loop:
        descriptor = loop.wake_up_descriptor()

        async def main() -> int:
            woken = loop.create_future()
            await asyncio.to_thread(lambda: loop.call_soon_threadsafe(woken.set_result, descriptor))
            result: int = await woken
            await loop.shutdown_default_executor()
            return result

        assert loop.run_until_complete(main()) == descriptor
    return descriptor


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_loops_that_follow_one_another_have_one_pair(wake_up: WakeUpSockets) -> None:
    first = descriptor_of_one_loop(wake_up)
    assert is_open(first)
    assert {descriptor_of_one_loop(wake_up) for _ in range(3)} == {first}
    wake_up.close()
    assert not is_open(first)


def test_a_loop_beside_another_has_a_pair_of_its_own(wake_up: WakeUpSockets) -> None:
    with contextlib.closing(VirtualEventLoop(wake_up=wake_up)) as outer:
        inner = descriptor_of_one_loop(wake_up)
        assert inner != outer.wake_up_descriptor()
        assert not is_open(inner)
        kept = outer.wake_up_descriptor()
    assert descriptor_of_one_loop(wake_up) == kept


def test_without_it_each_loop_makes_and_closes_its_own() -> None:
    with contextlib.closing(VirtualEventLoop()) as loop:
        descriptor = loop.wake_up_descriptor()
        assert is_open(descriptor)
    assert not is_open(descriptor)


def test_a_wake_up_that_comes_too_late_wakes_nobody(wake_up: WakeUpSockets) -> None:
    reader, writer = wake_up.take()
    wake_up.give_back(reader, writer)
    writer.send(b"\0" * 5)
    assert wake_up.take() == (reader, writer)
    with pytest.raises(BlockingIOError):
        reader.recv(1)
    wake_up.give_back(reader, writer)


def take_another(wake_up: WakeUpSockets, than: socket.socket) -> None:
    """See that the next loop gets another pair."""
    reader, writer = wake_up.take()
    assert reader is not than
    wake_up.give_back(reader, writer)


def test_a_pair_whose_other_end_is_gone_is_closed(wake_up: WakeUpSockets) -> None:
    reader, writer = wake_up.take()
    wake_up.give_back(reader, writer)
    writer.shutdown(socket.SHUT_RDWR)
    take_another(wake_up, reader)
    assert reader.fileno() == writer.fileno() == -1


def test_a_number_that_is_a_file_s_by_now_is_left_alone(wake_up: WakeUpSockets) -> None:
    reader, writer = wake_up.take()
    wake_up.give_back(reader, writer)
    number, other = reader.fileno(), writer.fileno()
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), number)  # as a test does that closes every descriptor and opens others
        take_another(wake_up, reader)
        assert os.path.sameopenfile(file.fileno(), number)
        os.close(number)
    assert reader.fileno() == writer.fileno() == -1
    wake_up.close()
    assert not is_open(other)


def test_numbers_that_are_nobody_s_are_left_alone(wake_up: WakeUpSockets) -> None:
    reader, writer = wake_up.take()
    wake_up.give_back(reader, writer)
    os.close(reader.fileno())
    os.close(writer.fileno())
    take_another(wake_up, reader)
    assert reader.fileno() == writer.fileno() == -1


def test_a_child_process_makes_its_own(wake_up: WakeUpSockets, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = wake_up.take()
    wake_up.give_back(reader, writer)
    parent = os.getpid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: parent + 1)
        take_another(wake_up, reader)
    assert reader.fileno() == writer.fileno() == -1  # of the child; the parent's stay open


def test_nothing_is_kept_where_sockets_cannot_be_told_apart(
    wake_up: WakeUpSockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> os.stat_result:
        raise OSError(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", refuse)
        pairs = [wake_up.take() for _ in range(2)]
        assert pairs[0][0] is not pairs[1][0]
        for reader, writer in pairs:
            wake_up.give_back(reader, writer)
            assert reader.fileno() == writer.fileno() == -1
        reader, writer = wake_up.take()
        assert reader.fileno() != -1
        wake_up.give_back(reader, writer)


def test_a_pair_that_a_loop_has_is_closed_with_the_loop() -> None:
    wake_up = WakeUpSockets()
    with contextlib.closing(VirtualEventLoop(wake_up=wake_up)) as loop:
        descriptor = loop.wake_up_descriptor()
        wake_up.close()
        assert is_open(descriptor)
    assert not is_open(descriptor)
