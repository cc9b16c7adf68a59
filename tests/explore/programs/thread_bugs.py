"""Bugs between jobs in threads, each with its fixed twin."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from tests.explore.programs.pairs import Pair, pair

THREADS: list[Pair] = []


def identity(value: int) -> int:
    return value


@pair(THREADS)
async def lost_update(has_bug: bool) -> None:
    total = 0
    lock = asyncio.Lock()

    async def add(amount: int) -> None:
        nonlocal total
        before = await asyncio.to_thread(identity, total)
        total = before + amount

    async def deposit(turns: int, amount: int) -> None:
        for _ in range(turns):
            await asyncio.to_thread(identity, 0)
        if has_bug:
            await add(amount)
        else:
            async with lock:
                await add(amount)

    await asyncio.gather(deposit(0, 1), deposit(3, 2))
    assert total == 3, total


@pair(THREADS)
async def replies_out_of_order(has_bug: bool) -> None:
    shown = ""
    newest = 0

    async def search(text: str) -> None:
        nonlocal shown, newest
        newest += 1
        mine = newest
        found = await asyncio.to_thread(str.upper, text)
        if has_bug or mine == newest:
            shown = found

    await asyncio.gather(search("a"), search("ab"))
    assert shown == "AB", shown


@pair(THREADS)
async def made_twice(has_bug: bool) -> None:
    made: list[int] = []
    lock = asyncio.Lock()

    async def make() -> None:
        if not made:
            made.append(await asyncio.to_thread(identity, 1))

    async def handler(turns: int) -> None:
        for _ in range(turns):
            await asyncio.to_thread(identity, 0)
        if has_bug:
            await make()
        else:
            async with lock:
                await make()

    await asyncio.gather(handler(0), handler(2))
    assert len(made) == 1, made


@pair(THREADS)
async def event_set_from_a_thread_and_cleared(has_bug: bool) -> None:
    loop = asyncio.get_running_loop()
    news = asyncio.Event()
    ready = asyncio.Event()

    async def listen() -> None:
        await asyncio.to_thread(identity, 0)
        ready.set()
        await news.wait()

    async def announce() -> None:
        for _ in range(3):
            await asyncio.to_thread(identity, 0)
        if not has_bug:
            await ready.wait()
        caller = threading.Thread(target=loop.call_soon_threadsafe, args=(news.set,))
        caller.start()
        caller.join()
        for _ in range(2):
            await asyncio.to_thread(identity, 0)
        if has_bug:
            news.clear()

    await asyncio.gather(listen(), announce())


@pair(THREADS)
async def one_worker_keeps_its_order(has_bug: bool) -> None:
    """With two workers the second job may answer first."""
    loop = asyncio.get_running_loop()
    order: list[int] = []

    async def job(executor: ThreadPoolExecutor, number: int) -> None:
        await loop.run_in_executor(executor, identity, number)
        order.append(number)

    with ThreadPoolExecutor(2 if has_bug else 1) as executor:
        await asyncio.gather(*(job(executor, number) for number in range(4)))
    assert order == [0, 1, 2, 3], order
