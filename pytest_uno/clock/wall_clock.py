"""The wall clock of a virtual loop: `datetime.now()`, `time.time()` and their relatives in lockstep with it.

Without lockstep, which is how every clock begins, all of them are real and nothing here costs anything. In
lockstep, and only while the loop runs:

- the wall clock (`datetime.now()`, `utcnow()`, `today()`, `time.time()`, `gmtime()`, `strftime()`, `uuid1()`, the
  times of log records) is virtual in every thread: a moment of the user's plus the virtual time since;
- `time.monotonic()` and `time.perf_counter()` are the loop's time, in the loop's own thread only: in other threads,
  and in what blocks a thread (`Popen.wait`, `as_completed`), a time-out must end by itself;
- nothing is computed before somebody asks, so a jump of the clock costs nothing.

It works through freezegun, with its conventions: dates are `FakeDatetime`, a subclass of `datetime`; naive local
time is UTC; what kept a function itself before (`default_factory=datetime.utcnow`) sees real time. While a
`freeze_time` of the user is active, it wins. One that began before the loop ran lends lockstep its date, unless
it counts the calls itself (`auto_tick_seconds`).
"""

from __future__ import annotations

import sys
import threading
import time
import weakref
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from pytest_uno.core.errors import compose_message

if TYPE_CHECKING:
    from pytest_uno.clock.freezegun_internals import LockstepFactory

__all__ = ["WallClock", "parse_moment", "uninstall"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _ReadsTime(Protocol):
    def time(self) -> float: ...


def parse_moment(value: datetime | str) -> datetime:
    """Return a moment as an aware datetime in UTC.

    Args:
        value: a datetime, or a string in ISO 8601 (`"2026-01-01"`, `"2026-01-01T00:00Z"`); without a time zone it
            is in UTC.

    Raises:
        ValueError: it is neither.
    """
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(moment, datetime):  # pyright: ignore[reportUnnecessaryIsInstance]
            # By arithmetic, so that freezegun's dates become plain ones.
            return _EPOCH + (moment - _EPOCH if moment.tzinfo else moment.replace(tzinfo=UTC) - _EPOCH)
    except (ValueError, OverflowError):
        pass
    raise ValueError(
        compose_message(
            f"{value!r} is not a moment that the wall clock can be set to",
            fix='give a datetime, or a string in ISO 8601 such as "2026-01-01T00:00Z"; without a zone it is UTC',
            anchor="bad-moment",
        )
    )


class WallClock:
    """The date and time of day of one virtual clock.

    The loop calls `enter` whenever it begins to run and `exit` whenever it has ended, in lockstep or not.
    Every method must be called in the loop's thread.

    Args:
        clock: the virtual clock; its `time()` returns the loop's time in seconds. It must live as long as this.
    """

    def __init__(self, clock: _ReadsTime) -> None:
        self._clock: _ReadsTime = weakref.proxy(clock)  # a cycle would keep both until the collector runs
        self._lockstep = False
        self._base = _EPOCH.replace(tzinfo=None)
        self._origin = 0.0
        self._running = False
        self._factory: LockstepFactory | None = None

    @property
    def is_lockstep(self) -> bool:
        """Whether `datetime.now()` and the like follow the virtual clock while the loop runs."""
        return self._lockstep

    def now(self) -> datetime:
        """Return the date and time in UTC, aware, and switch lockstep on if it was not.

        Without a start it is real time at the first call. While a freeze of the user's is in force, its date.
        """
        if not self._lockstep:
            self.travel_to(_real_now())
        frozen = None
        if "freezegun.api" in sys.modules:
            from pytest_uno.clock.freezegun_internals import user_date

            frozen = user_date()
        return parse_moment(self.read_naive() if frozen is None else frozen)

    def start_at(self, moment: datetime | str) -> None:
        """Switch lockstep on: the current virtual moment is this date and time.

        Args:
            moment: as for `parse_moment`.

        Raises:
            ValueError: it is not a moment.
        """
        self.travel_to(moment)

    def travel_to(self, moment: datetime | str) -> None:
        """Set the date and time, forwards or backwards; the loop's own time stays, and no timer is affected.

        Args:
            moment: as for `parse_moment`.

        Raises:
            ValueError: it is not a moment.
        """
        self._base = parse_moment(moment).replace(tzinfo=None)
        self._origin = self._clock.time()
        self._lockstep = True
        if self._factory is not None:
            from pytest_uno.clock.freezegun_internals import forget_uuid_timestamps

            forget_uuid_timestamps()
        elif self._running:
            self._switch_on(before_run=False)

    def stop(self) -> None:
        """Switch lockstep off: everything is real again, at once."""
        self._switch_off()
        self._lockstep = False

    def enter(self) -> None:
        """Note that the loop begins to run, in this thread."""
        self._running = True
        if self._lockstep:
            self._switch_on(before_run=True)

    def exit(self) -> None:
        """Note that the loop has ended running."""
        self._running = False
        self._switch_off()

    def read_naive(self) -> datetime:
        """Return the date and time in UTC without a time zone; only in lockstep."""
        return self._base + timedelta(seconds=self._clock.time() - self._origin)

    def read_virtual(self) -> float:
        """Return the loop's time in seconds."""
        return self._clock.time()

    def shift(self, delta: timedelta) -> None:
        """Move the date and time; only in lockstep.

        Args:
            delta: by how much, backwards if negative.
        """
        self._base += delta

    def _switch_on(self, *, before_run: bool) -> None:
        from pytest_uno.clock.freezegun_internals import LockstepFactory, push

        factory = LockstepFactory(self, threading.get_ident())
        push(factory, before_run=before_run)
        self._factory = factory

    def _switch_off(self) -> None:
        factory, self._factory = self._factory, None
        if factory is not None:
            from pytest_uno.clock.freezegun_internals import pop

            pop(factory)


def uninstall() -> None:
    """Leave freezegun as it was found, at the end of the session."""
    if f"{__package__}.freezegun_internals" in sys.modules:
        from pytest_uno.clock.freezegun_internals import uninstall as uninstall_internals

        uninstall_internals()


def _real_now() -> datetime:
    # freezegun replaces `time.time`, time-machine means to be taken for real.
    clock_gettime = getattr(time, "clock_gettime", None)
    return _EPOCH + timedelta(seconds=clock_gettime(time.CLOCK_REALTIME) if clock_gettime else time.time())
