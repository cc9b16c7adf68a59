"""Jobs that run once a day, at a time of the clock on the wall."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, time, timedelta
from typing import NoReturn

logger = logging.getLogger(__name__)


def find_next(at: time, after: datetime) -> datetime:
    """Return the first moment after another at which it is that time of the day; all in UTC."""
    due = datetime.combine(after.date(), at, tzinfo=UTC)
    return due if due > after else due + timedelta(days=1)


async def run_daily(at: time, job: Callable[[], Awaitable[object]]) -> NoReturn:
    """Run a job every day at a time in UTC, until cancelled.

    A run that fails is logged, and the next day has its run. A run that is not over when the next is due makes
    the job miss that one.
    """
    due = find_next(at, datetime.now(UTC))
    while True:
        # Timers follow a clock that nobody corrects: by the one on the wall they may be early.
        while (pause := (due - datetime.now(UTC)).total_seconds()) > 0:
            await asyncio.sleep(pause)
        try:
            await job()
        except Exception:  # whatever it is, there is a tomorrow
            logger.exception("the daily job that was due at %s failed", due)
        due = find_next(at, max(due, datetime.now(UTC)))
