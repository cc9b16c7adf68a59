"""The virtual clock next to its peers and to asyncio's own loop; run it as a script.

Run: python benchmarks/clock.py [ROUNDS]

The contenders take turns in one process, so that a busy machine slows all; medians are compared. A *spurious* time-out
is one of a call that takes far less real time than its limit: virtual time ran away while the call was at work.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from clock_contenders import OURS, REAL, HangError, find_contenders
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from pytest_uno.clock import VirtualEventLoop

SLEEPS = 10_000
TASKS, SLEEPS_OF_A_TASK = 1_000, 100
IDLE_TASKS, JUMPS = 10_000, 5_000
QUERIES = 300
ROUND_TRIPS = 200
EXECUTOR_CALLS = 20
LIMIT = 0.05  # seconds, of one query, round trip or executor call
TICK = 0.01
SLOW = 20  # real seconds of a round
EMPTY_RUNS, EMPTY_ROUNDS = 50, 41
FUTURES, FUTURE_ROUNDS = 20_000, 21

#: Some hundred microseconds of work.
SELECT = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000) SELECT sum(x) FROM n"

#: Answers after a millisecond or so.
ECHO_SERVER = """
import asyncio
async def answer(reader, writer):
    while data := await reader.read(100):
        await asyncio.sleep(0.001)
        writer.write(data)
async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Keep the garbage collector out of what is measured."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def sleep_in_a_row() -> float:
    """Return sequential sleeps for each real second."""
    return SLEEPS / await time_sleeps(SLEEPS, time.perf_counter)


async def time_sleeps(count: int, clock: Callable[[], float]) -> float:
    """Return the seconds that sequential sleeps take by that clock."""
    with no_collection():
        started = clock()
        for _ in range(count):
            await asyncio.sleep(1)
        return clock() - started


async def sleep_in_many_tasks() -> float:
    """Return sleeps of many tasks for each real second."""
    chance = random.Random(1)
    delays = [[chance.uniform(0.001, 10) for _ in range(SLEEPS_OF_A_TASK)] for _ in range(TASKS)]

    async def sleep_each(of_task: list[float]) -> None:
        for delay in of_task:
            await asyncio.sleep(delay)

    with no_collection():
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for of_task in delays:
                group.create_task(sleep_each(of_task))
        return TASKS * SLEEPS_OF_A_TASK / (time.perf_counter() - started)


async def sleep_among_idle_tasks() -> tuple[float, float]:
    """Return the microseconds of the processor for a jump with no idle task and with many."""
    alone = 1e6 / JUMPS * await time_sleeps(JUMPS, time.process_time)
    never = asyncio.Event()
    tasks = [asyncio.create_task(never.wait()) for _ in range(IDLE_TASKS)]
    await asyncio.sleep(1)
    among = 1e6 / JUMPS * await time_sleeps(JUMPS, time.process_time)
    never.set()
    await asyncio.wait(tasks)
    return alone, among


@contextlib.asynccontextmanager
async def ticker() -> AsyncIterator[None]:
    """Have a timer due all the time, as a periodic task of the application does."""

    async def tick() -> None:
        while True:
            await asyncio.sleep(TICK)

    task = asyncio.create_task(tick())
    try:
        yield
    finally:
        task.cancel()


async def count_failures(
    calls: int, call: Callable[[], Awaitable[object]], repair: Callable[[], Awaitable[object]] | None = None
) -> int:
    """Return how many calls do not end within the limit."""
    failed = 0
    async with ticker():
        for _ in range(calls):
            try:
                async with asyncio.timeout(LIMIT):
                    await call()
            except Exception:
                failed += 1
                if repair is not None:
                    with contextlib.suppress(Exception):
                        await repair()
    return failed


async def query() -> int:
    """Return the spurious time-outs of SQL queries."""
    engine = create_async_engine("sqlite+aiosqlite://")
    select = text(SELECT)
    try:
        async with engine.connect() as connection:
            return await count_failures(QUERIES, lambda: connection.execute(select), connection.rollback)
    finally:
        await engine.dispose()


async def echo(host: str, port: int) -> int:
    """Return the spurious time-outs of round trips to an echo server."""
    reader, writer = await asyncio.open_connection(host, port)

    async def call() -> None:
        writer.write(b"x" * 10)
        await reader.readexactly(10)

    async def reconnect() -> None:
        nonlocal reader, writer
        writer.close()
        reader, writer = await asyncio.open_connection(host, port)

    try:
        return await count_failures(ROUND_TRIPS, call, reconnect)
    finally:
        writer.close()


async def echo_inside() -> int:
    """Return the spurious time-outs with the server in the same loop."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    try:
        return await echo(host, port)
    finally:
        server.close()


async def call_executor() -> int:
    """Return the spurious time-outs of calls of 20 ms in a thread."""
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, time.sleep, 0)
    return await count_failures(EXECUTOR_CALLS, lambda: loop.run_in_executor(None, time.sleep, 0.02))


def run_empty(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Be a test with no time in it: make a loop, run it, close it."""

    async def main() -> None:
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main())


def compare_empty_tests() -> tuple[float, float]:
    """Return the median seconds of a test with no time in it, with the virtual and with asyncio's own loop."""
    return compare(
        [lambda: run_empty(VirtualEventLoop), lambda: run_empty(asyncio.SelectorEventLoop)],
        EMPTY_RUNS,
        EMPTY_ROUNDS,
    )


def compare_futures(filename: str) -> tuple[float, float]:
    """Return the median seconds of `create_future`, called by code of that file, on both loops."""
    scope: dict[str, Any] = {}
    exec(compile("def create(loop):\n    loop.create_future()", filename, "exec"), scope)
    loops = [VirtualEventLoop(), asyncio.SelectorEventLoop()]
    create = scope["create"]
    try:
        return compare([lambda: create(loops[0]), lambda: create(loops[1])], FUTURES, FUTURE_ROUNDS)
    finally:
        for loop in loops:
            loop.close()


def compare(sides: list[Callable[[], None]], calls: int, rounds: int) -> tuple[float, float]:
    """Return the median CPU seconds of a call of either side, from interleaved rounds."""
    times: list[list[float]] = [[], []]
    for turn in range(rounds):
        for side in (0, 1) if turn % 2 else (1, 0):
            call = sides[side]
            with no_collection():
                started = time.process_time()
                for _ in range(calls):
                    call()
                times[side].append((time.process_time() - started) / calls)
    return statistics.median(times[0]), statistics.median(times[1])


class Table:
    """Runs figures with every contender in turns, and prints a line for each."""

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self._contenders = find_contenders()
        self._errors: list[str] = []
        print(f"{'':46}" + "".join(f"{name:>18}" for name in self._contenders))

    def measure(self, main: Callable[[], Awaitable[Any]], *, real: bool) -> dict[str, list[Any]]:
        """Return the results of each contender, one a round, or just one of who is very slow; "fails" for an error."""
        results: dict[str, list[Any]] = {name: [] for name in self._contenders}
        slow: set[str] = set()
        for _ in range(self._rounds):
            for name, run in self._contenders.items():
                if (name == REAL and not real) or name in slow:
                    continue
                started = time.perf_counter()
                try:
                    results[name].append(run(main))
                except (HangError, Exception) as error:
                    self._errors.append(f"{name}: {type(error).__name__}")
                    results[name].append("fails")
                if time.perf_counter() - started > SLOW:
                    slow.add(name)
        return results

    def print_line(self, title: str, cells: dict[str, str], remark: str = "") -> None:
        """Print one figure, and what failed."""
        print(f"{title:46}" + "".join(f"{cells.get(name, '-'):>18}" for name in self._contenders) + remark)
        for error in dict.fromkeys(self._errors):
            print(f"    {error}")
        self._errors.clear()
        sys.stdout.flush()

    def print_rates(self, title: str, main: Callable[[], Awaitable[float]]) -> None:
        """Print the median of a rate, and ours over looptime's."""
        results = self.measure(main, real=False)
        medians = {name: statistics.median(values) for name, values in results.items() if is_number(values)}
        remark = ""
        if "looptime" in medians:
            remark = f"   {medians[OURS] / medians['looptime']:.1f} times looptime (at least 10)"
        cells = {name: values[0] for name, values in results.items() if values}
        self.print_line(
            title, {**cells, **{name: f"{value:,.0f}/s" for name, value in medians.items()}}, remark
        )

    def print_counts(self, title: str, main: Callable[[], Awaitable[int]], calls: int) -> None:
        """Print how many calls timed out, of those of all rounds; ours must be 0."""
        results = self.measure(main, real=True)
        cells = {
            name: f"{sum(values)} of {calls * len(values)}" if is_number(values) else str(values[0])
            for name, values in results.items()
        }
        self.print_line(title, cells, "   (pytest-uno: 0)")


def is_number(values: list[Any]) -> bool:
    """Tell whether every round gave a number."""
    return bool(values) and not any(isinstance(value, str) for value in values)


def main(rounds: int = 3) -> None:
    """Print one line for each figure."""
    # What a peer leaves behind, as the threads of a database whose loop is closed, fails on its own.
    threading.excepthook = lambda args: None
    table = Table(rounds)
    table.print_rates(f"{SLEEPS:,} sleeps in a row", sleep_in_a_row)
    table.print_rates(f"{TASKS:,} tasks x {SLEEPS_OF_A_TASK} random sleeps", sleep_in_many_tasks)

    results = table.measure(sleep_among_idle_tasks, real=False)
    cells: dict[str, str] = {}
    for name, pairs in results.items():
        if is_number(pairs):
            alone, among = (statistics.median(times) for times in zip(*pairs, strict=True))
            cells[name] = f"{alone:.1f}, {among:.1f} us"
    table.print_line(f"a jump with 0 and with {IDLE_TASKS:,} idle tasks", cells, "   (pytest-uno: equal)")

    table.print_counts(f"{QUERIES} SQL queries: spurious time-outs", query, QUERIES)
    table.print_counts(f"{ROUND_TRIPS} echo round trips in the loop: spurious", echo_inside, ROUND_TRIPS)
    command = [sys.executable, "-c", ECHO_SERVER]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="ascii"
    ) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        try:
            title = f"{ROUND_TRIPS} round trips to another process: spurious"
            table.print_counts(title, lambda: echo("127.0.0.1", port), ROUND_TRIPS)
        finally:
            server.terminate()
    table.print_counts(f"{EXECUTOR_CALLS} executor calls of 20 ms: spurious", call_executor, EXECUTOR_CALLS)

    print("\nThe virtual loop over asyncio's own")
    comparisons = [
        ("a test with no time in it (at most 1.03)", compare_empty_tests),
        ("create_future, called by asyncio", lambda: compare_futures(asyncio.locks.__file__)),
        ("create_future, called by other code", lambda: compare_futures(__file__)),
    ]
    for title, measure in comparisons:
        ours, theirs = measure()
        print(f"{title:46}{ours / theirs:6.2f}   {ours * 1e6:.2f} / {theirs * 1e6:.2f} us", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
