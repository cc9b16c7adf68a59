"""One leak a test, each made on the line with the mark `LEAK[rule]`; without a detector every test passes."""

import asyncio
import concurrent.futures
import contextvars
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading

import pytest

KEPT = []
USER = contextvars.ContextVar("user")


async def forever():
    await asyncio.Event().wait()


async def fail():
    raise LookupError("nobody looks")


async def count():
    yield 1
    yield 2


async def sleep_through_cancellation():
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        pass


def in_a_cycle(thing):
    cycle = [thing]
    cycle.append(cycle)


@pytest.mark.asyncio
async def test_task_of_nobody():
    asyncio.create_task(forever())  # LEAK[UNO101]
    await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_task_that_never_started():
    KEPT.append(asyncio.create_task(forever()))  # LEAK[UNO101]


@pytest.mark.asyncio
async def test_task_of_a_task():
    async def parent():
        KEPT.append(asyncio.create_task(forever()))  # LEAK[UNO101]

    await asyncio.create_task(parent())


@pytest.mark.asyncio
async def test_task_that_failed():
    KEPT.append(asyncio.create_task(fail()))  # LEAK[UNO102]
    await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_task_that_failed_in_a_cycle():
    in_a_cycle(asyncio.create_task(fail()))  # LEAK[UNO102]
    await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_cancellation_swallowed():
    task = asyncio.create_task(sleep_through_cancellation())  # LEAK[UNO103]
    await asyncio.sleep(0)
    task.cancel()
    await task


@pytest.mark.asyncio
async def test_callback_that_failed():
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)  # LEAK[UNO104]
    await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_coroutine_dropped():
    forever()  # LEAK[UNO201]


@pytest.mark.asyncio
async def test_coroutine_kept():
    KEPT.append(forever())  # LEAK[UNO201]


@pytest.mark.asyncio
async def test_coroutine_in_a_cycle():
    in_a_cycle(forever())  # LEAK[UNO201]


@pytest.mark.asyncio
async def test_generator_left():
    generator = count()
    KEPT.append(generator)
    await anext(generator)  # LEAK[UNO202]


@pytest.mark.asyncio
async def test_timer():
    asyncio.get_running_loop().call_later(3600, print)  # LEAK[UNO203]


@pytest.mark.skipif(sys.platform == "win32", reason="no add_reader there")
@pytest.mark.asyncio
async def test_reader():
    here, there = socket.socketpair()
    with here, there:
        asyncio.get_running_loop().add_reader(here, print)  # LEAK[UNO204]


@pytest.mark.skipif(sys.platform == "win32", reason="no add_signal_handler there")
@pytest.mark.asyncio
async def test_signal_handler():
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print)  # LEAK[UNO204]


@pytest.mark.asyncio
async def test_event_loop():
    KEPT.append(asyncio.new_event_loop())  # LEAK[UNO205]


@pytest.mark.asyncio
async def test_connection():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        streams = await asyncio.open_connection(*server.sockets[0].getsockname())  # LEAK[UNO401]
        KEPT.append(streams)


@pytest.mark.asyncio
async def test_server():
    KEPT.append(await asyncio.start_server(lambda *_: None, "127.0.0.1", 0))  # LEAK[UNO402]


@pytest.mark.asyncio
async def test_process():
    command = (sys.executable, "-c", "input()")
    KEPT.append(await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE))  # LEAK[UNO403]


@pytest.mark.asyncio
async def test_socket():
    KEPT.append(socket.socket())  # LEAK[UNO404]


@pytest.mark.asyncio
async def test_socket_dropped():
    socket.socket()  # LEAK[UNO404]


@pytest.mark.asyncio
async def test_file():
    KEPT.append(open(__file__))  # LEAK[UNO405]


@pytest.mark.asyncio
async def test_file_of_a_path():
    KEPT.append(pathlib.Path(__file__).open())  # LEAK[UNO405]


@pytest.mark.asyncio
async def test_descriptor():
    KEPT.append(os.open(__file__, os.O_RDONLY))  # LEAK[UNO406]


@pytest.mark.asyncio
async def test_thread():
    threading.Thread(target=threading.Event().wait, daemon=True).start()  # LEAK[UNO407]


@pytest.mark.asyncio
async def test_executor():
    executor = concurrent.futures.ThreadPoolExecutor(1)  # LEAK[UNO408]
    await asyncio.get_running_loop().run_in_executor(executor, int)
    KEPT.append(executor)


@pytest.mark.asyncio
async def test_lock():
    lock = asyncio.Lock()
    await lock.acquire()  # LEAK[UNO502]
    KEPT.append(lock)


@pytest.mark.asyncio
async def test_semaphore():
    semaphore = asyncio.Semaphore(2)
    await semaphore.acquire()  # LEAK[UNO502]
    KEPT.append(semaphore)


@pytest.fixture
def user():
    USER.set("ada")  # LEAK[UNO503]


@pytest.mark.asyncio
async def test_context_of_a_fixture(user):
    assert user is None


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="policies are deprecated there")
@pytest.mark.asyncio
async def test_policy():
    class Policy(asyncio.DefaultEventLoopPolicy):
        """A policy of the user's own."""

    asyncio.set_event_loop_policy(Policy())  # LEAK[UNO504]
