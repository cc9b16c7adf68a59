"""Programs that are right under stock asyncio: each leans on an order that asyncio documents, or its queue gives."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from tests.explore.programs.socket_bugs import ask, serving

__all__ = ["LEGAL"]

LEGAL: list[Callable[[], Awaitable[None]]] = []


def legal(program: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    LEGAL.append(program)
    return program


@legal
async def call_soon_is_first_in_first_out() -> None:
    loop = asyncio.get_running_loop()
    order: list[int] = []
    for number in range(5):
        loop.call_soon(order.append, number)
    await asyncio.to_thread(int)
    assert order == [0, 1, 2, 3, 4]


@legal
async def tasks_begin_in_the_order_of_creation() -> None:
    order: list[int] = []

    async def begin(number: int) -> None:
        order.append(number)
        await asyncio.sleep(0.01)

    await asyncio.gather(*(begin(number) for number in range(5)))
    assert order == [0, 1, 2, 3, 4]


@legal
async def a_lock_is_fair() -> None:
    lock = asyncio.Lock()
    order: list[int] = []

    async def use(number: int) -> None:
        async with lock:
            order.append(number)
            await asyncio.sleep(0.001 * (5 - number))

    await asyncio.gather(*(use(number) for number in range(5)))
    assert order == [0, 1, 2, 3, 4]


@legal
async def a_semaphore_is_fair() -> None:
    semaphore = asyncio.Semaphore(2)
    order: list[int] = []

    async def use(number: int) -> None:
        async with semaphore:
            order.append(number)
            await asyncio.sleep(0.001)

    await asyncio.gather(*(use(number) for number in range(6)))
    assert order == list(range(6))


@legal
async def a_queue_keeps_its_order() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue(2)
    got: list[int] = []

    async def produce() -> None:
        for number in range(6):
            await asyncio.sleep(0.001)
            await queue.put(number)

    async def consume() -> None:
        for _ in range(6):
            got.append(await queue.get())
            await asyncio.sleep(0.003)

    await asyncio.gather(produce(), consume())
    assert got == list(range(6))


@legal
async def getters_are_served_in_turn() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()
    got: dict[int, int] = {}

    async def take(number: int) -> None:
        got[number] = await queue.get()

    takers = [asyncio.create_task(take(number)) for number in range(4)]
    await asyncio.to_thread(int)
    for number in range(4):
        queue.put_nowait(number)
    await asyncio.gather(*takers)
    assert got == {0: 0, 1: 1, 2: 2, 3: 3}


@legal
async def no_await_no_interruption() -> None:
    total = 0

    async def add() -> None:
        nonlocal total
        for _ in range(5):
            before = total
            total = before + 1
            await asyncio.to_thread(int)

    await asyncio.gather(add(), add(), add())
    assert total == 15


@legal
async def done_callbacks_run_before_the_next_completion() -> None:
    order: list[str] = []
    future = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda _: order.append("first"))
    future.add_done_callback(lambda _: order.append("second"))
    future.set_result(None)
    await asyncio.to_thread(int)
    assert order == ["first", "second"]


@legal
async def an_event_wakes_all_who_wait() -> None:
    event = asyncio.Event()
    woken: list[int] = []

    async def wait(number: int) -> None:
        await event.wait()
        woken.append(number)

    waiters = [asyncio.create_task(wait(number)) for number in range(3)]
    await asyncio.sleep(0.01)
    event.set()
    await asyncio.gather(*waiters)
    assert woken == [0, 1, 2]


@legal
async def a_condition_is_asked_again() -> None:
    condition = asyncio.Condition()
    items: list[int] = []
    got: list[int] = []

    async def consume() -> None:
        async with condition:
            await condition.wait_for(lambda: bool(items))
            got.append(items.pop())

    async def produce() -> None:
        for number in range(3):
            await asyncio.sleep(0.002)
            async with condition:
                items.append(number)
                condition.notify()

    await asyncio.gather(consume(), consume(), consume(), produce())
    assert sorted(got) == [0, 1, 2]


@legal
async def a_time_out_that_is_long_enough() -> None:
    async with asyncio.timeout(1):
        await asyncio.gather(asyncio.to_thread(int), asyncio.sleep(0.01), asyncio.sleep(0.09))


@legal
async def a_time_out_wins_against_what_never_comes() -> None:
    try:
        async with asyncio.timeout(0.5):
            await asyncio.Event().wait()
    except TimeoutError:
        return
    raise AssertionError("no time-out")


@legal
async def polling_with_sleeps_ends() -> None:
    is_done = False

    async def work() -> None:
        nonlocal is_done
        await asyncio.to_thread(int)
        await asyncio.sleep(0.02)
        is_done = True

    task = asyncio.create_task(work())
    while not is_done:
        await asyncio.sleep(0.005)
    await task


@legal
async def polling_with_sleep_zero_ends() -> None:
    is_done = False

    async def work() -> None:
        nonlocal is_done
        await asyncio.to_thread(int)
        is_done = True

    task = asyncio.create_task(work())
    while not is_done:
        await asyncio.sleep(0)
    await task


@legal
async def a_wait_with_a_deadline_by_the_clock() -> None:
    loop = asyncio.get_running_loop()
    is_done = False

    async def work() -> None:
        nonlocal is_done
        await asyncio.to_thread(int)
        is_done = True

    task = asyncio.create_task(work())
    end = loop.time() + 2
    while not is_done:
        assert loop.time() < end, "never done"
        await asyncio.sleep(0.05)
    await task


@legal
async def call_later_in_order_of_time() -> None:
    loop = asyncio.get_running_loop()
    order: list[int] = []
    for number in (3, 1, 2):
        loop.call_later(0.01 * number, order.append, number)
    await asyncio.sleep(0.04)
    assert order == [1, 2, 3]


@legal
async def the_first_that_completes() -> None:
    fast, slow = (asyncio.create_task(asyncio.sleep(seconds)) for seconds in (0.001, 0.1))
    done, pending = await asyncio.wait({fast, slow}, return_when=asyncio.FIRST_COMPLETED)
    assert done
    for task in pending:
        task.cancel()
    await asyncio.gather(fast, slow, return_exceptions=True)


@legal
async def a_group_cancels_the_others() -> None:
    ended: list[str] = []

    async def linger() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def fail() -> None:
        await asyncio.to_thread(int)
        raise ValueError("expected")

    with contextlib.suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(linger())
            group.create_task(fail())
    assert ended == ["cancelled"]


@legal
async def one_worker_finishes_in_order() -> None:
    loop = asyncio.get_running_loop()
    order: list[int] = []

    async def job(number: int) -> None:
        await loop.run_in_executor(executor, int, number)
        order.append(number)

    with ThreadPoolExecutor(1) as executor:
        await asyncio.gather(*(job(number) for number in range(5)))
    assert order == [0, 1, 2, 3, 4]


@legal
async def one_thread_calls_in_order() -> None:
    loop = asyncio.get_running_loop()
    order: list[int] = []
    last = asyncio.Event()

    def call() -> None:
        for number in range(5):
            loop.call_soon_threadsafe(order.append, number)
        loop.call_soon_threadsafe(last.set)

    thread = threading.Thread(target=call)
    thread.start()
    await last.wait()
    thread.join()
    assert order == [0, 1, 2, 3, 4]


@legal
async def a_thread_asks_the_loop() -> None:
    loop = asyncio.get_running_loop()

    async def answer(number: int) -> int:
        await asyncio.sleep(0.01)
        return number + 1

    def ask_loop() -> int:
        return asyncio.run_coroutine_threadsafe(answer(1), loop).result(10)

    assert list(await asyncio.gather(asyncio.to_thread(ask_loop), asyncio.to_thread(int))) == [2, 0]


@legal
async def a_connection_keeps_its_order() -> None:
    async def answer(line: str) -> str:
        return line

    async with serving(answer) as port:
        first, second = await asyncio.gather(ask(port, "a", "b", "c"), ask(port, "d", "e"))
    assert first == ["a", "b", "c"]
    assert second == ["d", "e"]


@legal
async def a_generator_over_jobs() -> None:
    async def numbers() -> AsyncIterator[int]:
        for number in range(4):
            yield await asyncio.to_thread(int, number)

    async def collect() -> list[int]:
        return [number async for number in numbers()]

    assert list(await asyncio.gather(collect(), collect())) == [[0, 1, 2, 3]] * 2


@legal
async def a_shielded_job_goes_on() -> None:
    done: list[int] = []

    async def work() -> None:
        await asyncio.to_thread(int)
        done.append(1)

    task = asyncio.create_task(work())
    waiting = asyncio.create_task(_wait_shielded(task))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await task
    assert done == [1]


async def _wait_shielded(task: asyncio.Task[None]) -> None:
    await asyncio.shield(task)


@legal
async def cancelling_while_a_job_runs() -> None:
    task = asyncio.create_task(asyncio.to_thread(int))
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.done()
