"""Operations that break when a call fails, each with a fixed twin. No tool is imported."""

from __future__ import annotations

import asyncio
from asyncio import sleep
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

__all__ = ["FAULTS", "Fault"]


@dataclass(frozen=True)
class Fault:
    """One bug: the operation does not bear that `target` fails.

    Attributes:
        id: its number.
        setup: makes a world.
        buggy: the operation.
        fixed: the same, as it should be.
        check: raises if the world is not as it should be.
        target: the path to the function that fails.
        moments: when the failure shows the bug.
    """

    id: str
    setup: Callable[[], Awaitable[Any]]
    buggy: Callable[[Any], Awaitable[Any]]
    fixed: Callable[[Any], Awaitable[Any]]
    check: Callable[[Any], Awaitable[Any]]
    target: str
    moments: tuple[str, ...]


# f01: the retry of a charge that was made already.
class Payments:
    def __init__(self) -> None:
        self.charges: list[str | None] = []

    async def charge(self, key: str | None = None) -> None:
        await sleep(0.001)
        if key is None or key not in self.charges:
            self.charges.append(key)


async def f01_setup() -> Any:
    return SimpleNamespace(payments=Payments())


async def f01_buggy(w: Any) -> None:
    await _retry(w.payments.charge)


async def f01_fixed(w: Any) -> None:
    await _retry(lambda: w.payments.charge("order-1"))


async def _retry(call: Callable[[], Awaitable[None]]) -> None:
    try:
        await call()
    except ConnectionError:
        await sleep(0.001)
        await call()


async def f01_check(w: Any) -> None:
    assert len(w.payments.charges) == 1, f"charged {len(w.payments.charges)} times"


# f02: what was reserved is kept when the payment fails.
class Stock:
    def __init__(self) -> None:
        self.reserved = 0
        self.sold = 0


async def f02_setup() -> Any:
    return SimpleNamespace(stock=Stock(), payments=Payments())


async def f02_buggy(w: Any) -> None:
    w.stock.reserved += 1
    await w.payments.charge()
    w.stock.reserved -= 1
    w.stock.sold += 1


async def f02_fixed(w: Any) -> None:
    w.stock.reserved += 1
    try:
        await w.payments.charge()
        w.stock.sold += 1
    finally:
        w.stock.reserved -= 1


async def f02_check(w: Any) -> None:
    assert w.stock.reserved == 0, "still reserved"


# f03: a synchronous call; the lock is not released.
async def f03_setup() -> Any:
    return SimpleNamespace(lock=asyncio.Lock(), log=SimpleNamespace(write=lambda text: None))


async def f03_buggy(w: Any) -> None:
    await w.lock.acquire()
    w.log.write("in")
    await sleep(0.001)
    w.lock.release()


async def f03_fixed(w: Any) -> None:
    async with w.lock:
        w.log.write("in")
        await sleep(0.001)


async def f03_check(w: Any) -> None:
    assert not w.lock.locked(), "lock lost"


# f04: the error of a child in a gather leaves its sibling running.
async def f04_setup() -> Any:
    return SimpleNamespace(payments=Payments(), mails=[])


async def f04_mail(w: Any) -> None:
    await sleep(0.05)
    w.mails.append("paid")


async def f04_buggy(w: Any) -> None:
    await asyncio.gather(w.payments.charge(), f04_mail(w))


async def f04_fixed(w: Any) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(w.payments.charge())
        group.create_task(f04_mail(w))


async def f04_check(w: Any) -> None:
    """Accept anything: that a task goes on is seen without a check."""


FAULTS = (
    Fault("f01", f01_setup, f01_buggy, f01_fixed, f01_check, "payments.charge", ("after",)),
    Fault("f02", f02_setup, f02_buggy, f02_fixed, f02_check, "payments.charge", ("before", "after")),
    Fault("f03", f03_setup, f03_buggy, f03_fixed, f03_check, "log.write", ("before", "after")),
    Fault("f04", f04_setup, f04_buggy, f04_fixed, f04_check, "payments.charge", ("before", "after")),
)
