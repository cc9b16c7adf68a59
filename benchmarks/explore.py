"""Exploration next to its peers: bugs found, right programs flagged, and what a schedule costs; run it as a script.

Run: python benchmarks/explore.py [SCHEDULES [SEEDS]]

The corpus is that of the tests: each bug with its fixed twin, and programs that are right under stock asyncio. The cost
is relative to the same program under `asyncio.run`; medians of interleaved runs.
"""

from __future__ import annotations

import asyncio
import signal
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from explore_contenders import find_contenders

from pytest_uno.explore import explore
from pytest_uno.explore.run import run_schedule
from pytest_uno.explore.settings import Settings
from pytest_uno.explore.strategies.holds import Holds
from pytest_uno.explore.strategies.pct import PriorityChanges
from pytest_uno.explore.strategies.pos import PartialOrderSampling
from pytest_uno.explore.strategies.stock import Stock
from tests.explore.corpus import ORDER  # type: ignore[attr-defined]
from tests.explore.programs.legal import LEGAL
from tests.explore.programs.session_bugs import SESSIONS
from tests.explore.programs.socket_bugs import SOCKETS
from tests.explore.programs.thread_bugs import THREADS

ROUNDS = 15
PATIENCE = 10  # real seconds for one program
STEPS = (1, 2, 3, 5, 10, 20, 50, 100, 200)
NEEDS: dict[str, dict[str, Any]] = {
    "o10": {"timeouts": True},
    "o14": {"timeouts": True},
    "o19": {"jitter": 50},
    "o20": {"jitter": 50},
}


def compare_finders(schedules: int, seeds: int) -> None:
    """Print what each contender finds, and what it flags."""
    print(
        f"\nof {len(ORDER)} bugs (sleeps) found, of {len(ORDER)} fixed twins and {len(LEGAL)} legal programs flagged"
    )
    print(
        f"in {schedules} schedules, medians of {seeds} seeds; a contender that cannot run a program has not found it\n"
    )
    for name, contender in find_contenders().items():
        began = time.perf_counter()
        found = _count(contender, [bug.buggy for bug in ORDER], schedules, seeds)
        fixed = _count(contender, [bug.fixed for bug in ORDER], schedules, 1)
        legal = _count(contender, LEGAL, schedules, 1)
        print(
            f"{name:32} found {found:4.0f}   twins flagged {fixed:3.0f}   legal flagged {legal:3.0f}"
            f"   {time.perf_counter() - began:6.1f} s",
            flush=True,
        )


def _count(contender: Callable[..., bool], programs: list[Any], schedules: int, seeds: int) -> float:
    counts: list[int] = []
    for seed in range(seeds):
        count = 0
        for program in programs:
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)
            try:
                count += contender(program, schedules, seed)
            except Exception:
                continue
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        counts.append(count)
    return statistics.median(counts)


def show_findings(seeds: int) -> None:
    """Print how many bugs are found by so many schedules."""
    at: list[int | None] = []
    for bug in ORDER:
        at += [
            explore(bug.buggy, schedules=200, seed=seed, **NEEDS.get(bug.id, {})).found_at
            for seed in range(seeds)
        ]
    for pair in [*THREADS, *SOCKETS, *SESSIONS]:
        at += [explore(pair.buggy, schedules=200, seed=seed).found_at for seed in range(2)]
    known = sorted(one for one in at if one is not None)
    print(
        f"\n{OURS_BY}: median {statistics.median(known):g}, worst {known[-1]}, missed {at.count(None)} of {len(at)}"
    )
    for step in STEPS:
        print(f"  {step:4} schedules: {sum(one <= step for one in known) / len(at):6.1%}")


OURS_BY = "schedules until a bug is found (corpus at each seed, threads, sockets and sessions)"


async def small_tasks() -> None:
    """Pass numbers through a queue."""
    queue: asyncio.Queue[int] = asyncio.Queue(3)

    async def put() -> None:
        for number in range(100):
            await queue.put(number)

    async def get() -> None:
        for _ in range(100):
            await queue.get()

    await asyncio.gather(put(), get(), put(), get())


def show_costs() -> None:
    """Print schedules a second, and the cost of one relative to `asyncio.run`."""
    print(
        "\nprogram                                asyncio.run   schedules/s   relative: stock  hold  pos  pct"
    )
    programs: list[tuple[str, Any]] = [("queue", small_tasks)]
    programs += [(bug.id, bug.fixed) for bug in ORDER[:3]]
    programs += [(pair.name, pair.fixed) for pair in [*THREADS, *SOCKETS, *SESSIONS]]
    settings = Settings()
    for name, program in programs:
        runs: list[Callable[[int], object]] = [
            lambda turn, program=program: asyncio.run(program()),
            lambda turn, program=program: run_schedule(program, Stock(), settings),
            lambda turn, program=program: run_schedule(program, Holds((turn % 5,)), settings),
            lambda turn, program=program: run_schedule(program, PartialOrderSampling(0, turn), settings),
            lambda turn, program=program: run_schedule(program, PriorityChanges(0, turn, 30), settings),
        ]
        seconds: list[list[float]] = [[] for _ in runs]
        for turn in range(ROUNDS):
            for run, taken in zip(runs, seconds, strict=True):
                began = time.perf_counter()
                run(turn)
                taken.append(time.perf_counter() - began)
        real, *ours = (statistics.median(taken) for taken in seconds)
        relative = "  ".join(f"{one / real:4.2f}" for one in ours)
        print(
            f"{name:36} {real * 1e3:8.2f} ms {1 / statistics.mean(ours):12.0f}             {relative}",
            flush=True,
        )


def main(schedules: int = 100, seeds: int = 3) -> None:
    """Run all three."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, _give_up)
    show_costs()
    show_findings(seeds)
    compare_finders(schedules, seeds)


def _give_up(*_: object) -> None:
    raise TimeoutError


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
