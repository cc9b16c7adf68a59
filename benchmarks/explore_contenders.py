"""Explorers of asyncio schedules, each behind the same call; those that are not installed are left out."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from pytest_uno.explore import explore

__all__ = ["OURS", "find_contenders"]

Program = Callable[[], Coroutine[Any, Any, None]]

Contender = Callable[[Program, int, int], bool]
"""Says whether it finds a failure in so many schedules, with a seed."""

OURS = "pytest-uno"


def _ours(**options: Any) -> Contender:
    return lambda program, schedules, seed: (
        explore(program, schedules=schedules, seed=seed, **options).failure is not None
    )


def _detangle(module: Any, **options: Any) -> Contender:
    def find(program: Program, schedules: int, seed: int) -> bool:
        try:
            module.explore(
                program, runs=schedules, seed=seed, shrink=False, database=False, check_leaks=False, **options
            )
        except module.BugFound:
            return True
        return False

    return find


def _simloom(module: Any) -> Contender:
    return lambda program, schedules, seed: bool(
        module.explore(program, runs=schedules, start_seed=1000 * seed).failures
    )


def _simloop(module: Any) -> Contender:
    async def run(program: Program) -> None:
        await program()

    def find(program: Program, schedules: int, seed: int) -> bool:
        first = 1000 * seed
        return module.explore(lambda *_: run(program), range(first, first + schedules)) is not None

    return find


def find_contenders() -> dict[str, Contender]:
    """Return those that are installed, by name."""
    found: dict[str, Contender] = {
        OURS: _ours(),
        f"{OURS}, timeouts, jitter=50": _ours(timeouts=True, jitter=50),
    }
    for name, make in (("detangle", _detangle), ("simloom", _simloom), ("simloop", _simloop)):
        with contextlib.suppress(ImportError):
            module = importlib.import_module(name)
            found[name] = _quiet(make(module))
            if name == "detangle":
                found["detangle, timer_jitter"] = _quiet(_detangle(module, timer_jitter=0.01))
    return found


def _quiet(contender: Contender) -> Contender:
    def find(program: Program, schedules: int, seed: int) -> bool:
        logging.disable(logging.CRITICAL)
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            try:
                return contender(program, schedules, seed)
            finally:
                logging.disable(logging.NOTSET)

    return find
