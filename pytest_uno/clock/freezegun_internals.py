"""Every private name of freezegun that the wall clock touches: its stacks, its fakes, its `stop`.

freezegun replaces `datetime.datetime`, `time.time` and so on in all modules by fakes that ask the top of a stack
for the date. Its own `start` takes tens of milliseconds, and after it the fakes stay until its own `stop`. Here the
fakes stand in the modules exactly while a loop in lockstep runs: pytest, its plugins and every test that did not
ask for lockstep never meet one. (Fakes that read real time would not do: away from UTC they give wrong local time,
and serialisers that want exactly `datetime` refuse theirs.)

The user's own freezes share the stacks, in any order of starting and stopping. Above a loop's entry they win. One
that began before the loop ran lends the loop its date, and goes on from there afterwards.

Import this module on demand only: freezegun takes time to import.
"""

from __future__ import annotations

import copyreg
import sys
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import FrameType, ModuleType
from typing import Any, Protocol, cast

from freezegun import api, config

from pytest_uno.clock.module_attributes import ModuleAttributes

__all__ = ["LockstepFactory", "forget_uuid_timestamps", "pop", "push", "uninstall", "user_date"]

_api: dict[str, Any] = api.__dict__
_uuid: dict[str, Any] = uuid.__dict__
_getframe = sys._getframe  # pyright: ignore[reportPrivateUsage]  (documented, if only for CPython)
_freeze_class: Any = _api["_freeze_time"]

# Parallel stacks, of which freezegun reads the tops. `_tz_offsets` has one entry more, see `_Installation`.
_factories: list[Any] = _api["freeze_factories"]
_tz_offsets: list[timedelta] = _api["tz_offsets"]
_ignore_lists: list[tuple[str, ...]] = _api["ignore_lists"]
_tick_flags: list[bool] = _api["tick_flags"]

_NAMES = (
    "date",
    "datetime",
    "gmtime",
    "localtime",
    "monotonic",
    "monotonic_ns",
    "perf_counter",
    "perf_counter_ns",
    "strftime",
    "time",
    "time_ns",
)
_CLASSES = {"date": "FakeDate", "datetime": "FakeDatetime"}

# These block a thread until a monotonic clock has passed a limit: virtual time would stand still meanwhile.
# `asyncio`: loops of other kinds, in any thread, under a freeze of the user's too.
_BLOCKING = frozenset(
    (
        "_pytest",
        "asyncio",
        "concurrent",
        "multiprocessing",
        "pytest_uno",
        "queue",
        "sched",
        "socketserver",
        "subprocess",
        "threading",
    )
)

# `_pytest` and `pytest_uno` measure real durations; freezegun must find its own originals.
_SKIPPED = ("_pytest", "freezegun", "pytest_uno")

_UUID_MEMORY = ("_last_timestamp", "_last_timestamp_v6", "_last_timestamp_v7")


class WallSource(Protocol):
    """What a factory needs of the wall clock it stands for."""

    def read_naive(self) -> datetime: ...
    def read_virtual(self) -> float: ...
    def shift(self, delta: timedelta) -> None: ...


class LockstepFactory:
    """The entry of one running loop on freezegun's stack; computes the date when somebody asks.

    Args:
        source: the wall clock.
        thread_id: the thread in which the loop runs.
    """

    def __init__(self, source: WallSource, thread_id: int) -> None:
        self.source = source
        self.thread_id = thread_id
        self._user: Any = None

    def __call__(self) -> datetime:
        """Return the date and time in UTC, without a time zone."""
        return self.source.read_naive()

    def take_over(self, user: Any) -> None:
        """Go on from the date of a user's freeze, whose `tick` and `move_to` now move this clock.

        Args:
            user: the freeze's factory, `frozen` in `with freeze_time(...) as frozen`.
        """
        self._user = user
        self.source.shift(user() - self())
        user.tick, user.move_to = self._tick, self._move_to

    def hand_back(self, user: Any = None) -> None:
        """Leave the present date to the freeze that was taken over.

        Args:
            user: only if it is the freeze of this factory.
        """
        taken = self._user
        if taken is not None and user in (None, taken):
            self._user = None
            del taken.tick, taken.move_to
            taken.move_to(self())

    def _tick(self, delta: timedelta | float = timedelta(seconds=1)) -> datetime:
        self.source.shift(delta if isinstance(delta, timedelta) else timedelta(seconds=float(delta)))
        return self()

    def _move_to(self, target: Any) -> None:
        self.source.shift(_api["_parse_time_to_freeze"](target) - self())


class _Installation:
    """What of freezegun is ours at the moment; one object a process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.active = False
        self._native: object = None
        self._uuid_memory: dict[str, object] = {}
        self._stop = _freeze_class.stop
        self._seconds = _api["_get_fake_monotonic"]
        self._nanoseconds = _api["_get_fake_monotonic_ns"]
        pairs = [(_api["real_" + name], _api[_CLASSES.get(name, "fake_" + name)]) for name in _NAMES]
        self._reals = {fake.__code__: real for real, fake in pairs if hasattr(fake, "__code__")}
        skip = (*_SKIPPED, *config.settings.default_ignore_list)
        self._attributes = ModuleAttributes(pairs, skip=skip)
        # Dates made in lockstep outlive it, and so may a class or a function that a thread is just calling:
        # freezegun reads this stack for `timestamp()`, and the other one for `date.today()`.
        _tz_offsets.insert(0, timedelta(0))
        self._current_time = _api["get_current_time"]
        _api["get_current_time"] = self.current_time

    def push(self, factory: LockstepFactory, *, before_run: bool) -> None:
        above = _user_entries_on_top()
        user: Any = _factories[-1] if above else None
        tz_offset, ignore = timedelta(0), config.settings.default_ignore_list
        takes_over = before_run and isinstance(user, (api.FrozenDateTimeFactory, api.TickingDateTimeFactory))
        if takes_over:
            above, tz_offset, ignore = 0, _tz_offsets[-1], list(_ignore_lists[-1])
            factory.take_over(user)
        if not self.active:
            self._native = _factories[0] if _factories else None
        # freezegun looks for these names in the five innermost frames. Its default ones would make `time.time()`
        # real, and `datetime.now()` virtual, in everything that a thread calls.
        kept = tuple(name for name in ignore if name not in config.DEFAULT_IGNORE_LIST)
        _insert(above, factory, tz_offset, kept)
        if not self.active:
            self._activate()

    def pop(self, factory: LockstepFactory) -> None:
        factory.hand_back()
        # Not there: it went instead of the user's, by a `freeze.stop` that was looked up before the run.
        self._remove(_factories.index(factory) if factory in _factories else _last_user_entry())

    def stop_user_freeze(self, freeze: Any) -> None:
        """Stand in for `freeze.stop()`, which would take the top of the stacks, whoever's it is."""
        if not self.active:
            self._stop(freeze)
            return
        index = _last_user_entry()
        for entry in _factories[index + 1 :]:
            entry.hand_back(_factories[index])
        # A freeze that had found the modules untouched replaced the `time` of asyncio's loops (`real_asyncio`).
        # What it did to modules is left to `_deactivate`.
        for owner, name, value in freeze.undo_changes:
            if not isinstance(owner, ModuleType):
                setattr(owner, name, value)
        freeze.undo_changes = []
        self._remove(index)

    def uninstall(self) -> None:
        del _tz_offsets[0]
        _api["get_current_time"] = self._current_time

    def current_time(self) -> datetime:
        try:
            return cast("datetime", self._current_time())
        except IndexError:
            return api.real_datetime.now(UTC).replace(tzinfo=None)

    def read_monotonic(self, frame: FrameType) -> tuple[LockstepFactory | None, Callable[[], Any] | None]:
        """Tell who answers one of freezegun's fakes: a loop's clock, a real clock, or nobody but freezegun.

        Args:
            frame: the frame of the fake.
        """
        real = self._reals[frame.f_code]
        top = _factories[-1] if _factories else None
        caller = frame.f_back
        package = str(caller.f_globals.get("__name__")).partition(".")[0] if caller is not None else ""
        if isinstance(top, LockstepFactory):
            own = _entry_of_thread(threading.get_ident())
            return (None, real) if own is None or package in _BLOCKING else (own, None)
        return (None, real) if top is None or package == "asyncio" else (None, None)

    def seconds(self) -> float:
        own, real = self.read_monotonic(_getframe(1))
        if own is not None:
            return own.source.read_virtual()
        return cast("float", real() if real is not None else self._seconds())

    def nanoseconds(self) -> int:
        own, real = self.read_monotonic(_getframe(1))
        if own is not None:
            return round(own.source.read_virtual() * 1e9)
        return cast("int", real() if real is not None else self._nanoseconds())

    def _remove(self, index: int) -> None:
        """Remove one entry of the stacks, and the fakes when nobody needs them any more."""
        above = len(_factories) - 1 - index
        needed = [entry for place, entry in enumerate(_factories) if place != index]
        if not any(isinstance(entry, LockstepFactory) for entry in needed):
            if not needed:
                self._deactivate(own_only=False)
            elif needed[0] is self._native:  # it put its fakes in place itself, and will remove them
                self._deactivate(own_only=True)
        for stack in (_factories, _tz_offsets, _ignore_lists, _tick_flags):
            del cast("list[Any]", stack)[len(stack) - 1 - above]

    def _activate(self) -> None:
        self.active = True
        _freeze_class.stop = _stop_user_freeze
        _api["_get_fake_monotonic"], _api["_get_fake_monotonic_ns"] = self.seconds, self.nanoseconds
        self._uuid_memory = {name: _uuid[name] for name in _UUID_MEMORY if name in _uuid}
        _switch_uuid(None, None)
        forget_uuid_timestamps()
        # Or pickle would complain that `datetime.datetime` is not the class it knows by this name.
        copyreg.dispatch_table[api.real_datetime] = api.pickle_fake_datetime
        copyreg.dispatch_table[api.real_date] = api.pickle_fake_date
        self._attributes.swap()

    def _deactivate(self, *, own_only: bool) -> None:
        self._attributes.put_back()
        if not own_only:
            self._attributes.put_back_foreign(imported_only=self._native is None)
            copyreg.dispatch_table.pop(api.real_datetime, None)
            copyreg.dispatch_table.pop(api.real_date, None)
            _switch_uuid(_api["real_uuid_generate_time"], _api["real_uuid_create"])
        forget_uuid_timestamps()
        if self._native is None:
            _uuid.update(self._uuid_memory)
        _api["_get_fake_monotonic"], _api["_get_fake_monotonic_ns"] = self._seconds, self._nanoseconds
        _freeze_class.stop = self._stop
        self._native = None
        self.active = False


_installed: _Installation | None = None


def push(factory: LockstepFactory, *, before_run: bool) -> None:
    """Put the date of a running loop in force, in all threads.

    Args:
        factory: the loop's entry.
        before_run: the loop is about to run: a freeze that is active lends it its date. Otherwise such a freeze
            stays in force until it ends.
    """
    installation = _installation()
    with installation.lock:
        installation.push(factory, before_run=before_run)


def pop(factory: LockstepFactory) -> None:
    """Take the date of a loop out of force; freezes that are still active stay.

    Args:
        factory: what was given to `push`.
    """
    installation = _installation()
    with installation.lock:
        installation.pop(factory)


def user_date() -> datetime | None:
    """Return the date of the user's freeze that is in force, in UTC without a time zone; None without one."""
    return _factories[-1]() if _user_entries_on_top() else None


def forget_uuid_timestamps() -> None:
    """Let `uuid1()` and its relatives go back in time: they never give a time before their last one."""
    _uuid.update({name: None for name in _UUID_MEMORY if name in _uuid})


def uninstall() -> None:
    """Leave freezegun as it was found; without effect while a loop in lockstep, or a freeze begun in one, lasts."""
    global _installed
    if _installed is not None and not _installed.active:
        _installed.uninstall()
        _installed = None


def _installation() -> _Installation:
    global _installed
    if _installed is None:
        _installed = _Installation()
    return _installed


def _stop_user_freeze(freeze: Any) -> None:
    installation = _installation()
    with installation.lock:
        installation.stop_user_freeze(freeze)


def _user_entries_on_top() -> int:
    count = 0
    while count < len(_factories) and not isinstance(_factories[-1 - count], LockstepFactory):
        count += 1
    return count


def _last_user_entry() -> int:
    for index in reversed(range(len(_factories))):
        if not isinstance(_factories[index], LockstepFactory):
            return index
    raise IndexError("no freeze is active")


def _entry_of_thread(thread_id: int) -> LockstepFactory | None:
    for entry in reversed(_factories):
        if isinstance(entry, LockstepFactory) and entry.thread_id == thread_id:
            return entry
    return None


def _insert(above: int, factory: LockstepFactory, tz_offset: timedelta, ignore: tuple[str, ...]) -> None:
    # The factories last, and removed first by `_remove`: freezegun asks them whether anything is frozen.
    for stack, entry in (
        (_tz_offsets, tz_offset),
        (_ignore_lists, ignore),
        (_tick_flags, False),
        (_factories, factory),
    ):
        cast("list[Any]", stack).insert(len(stack) - above, entry)


def _switch_uuid(generate_time: object, create: object) -> None:
    """Let `uuid1()` ask the operating system, or with None `time.time_ns()`."""
    name: str | None = _api["uuid_generate_time_attr"]
    _uuid.update({"_UuidCreate": create} | ({name: generate_time} if name is not None else {}))
