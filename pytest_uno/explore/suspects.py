"""Why a schedule is not the same twice: what the program asks for that differs from run to run."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from pytest_uno.explore.failures import users_sites

__all__ = ["Suspects"]

_CLOCK, _RANDOM, _HASH, _THREADS = "clock", "random", "hash order", "threads"

_PYTHON_MODULES = {"random.py": _RANDOM, "uuid.py": _RANDOM, "secrets.py": _RANDOM, "threading.py": _THREADS}


class Suspects:
    """Watches one run for calls whose answers differ from run to run."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    @contextmanager
    def watch(self) -> Generator[None]:
        """Watch this thread for the length of a block."""
        before = sys.getprofile()
        sys.setprofile(self._look)
        try:
            yield
        finally:
            sys.setprofile(before)

    def name_cause(self, *, has_slow_jobs: bool) -> str:
        """Return the likely cause in words.

        Args:
            has_slow_jobs: the replies of some jobs came by real time.
        """
        if has_slow_jobs:
            return f"{_THREADS}: a job took longer than the loop waits for it, and answered by real time"
        for kind in (_RANDOM, _CLOCK, _THREADS):
            if kind in self._found:
                return f"{kind}: {self._found[kind]}"
        return f"{_HASH}: iteration over a set, or an order by id() or hash()"

    # Coverage does not see what runs for `sys.setprofile`; `tests/explore/test_suspects.py` tests what it finds.
    def _look(self, frame: FrameType, event: str, argument: Any) -> None:  # pragma: no cover
        if event == "c_call":
            kind = _kind_of_builtin(argument)
            if kind is not None:
                self._note(kind, frame, getattr(argument, "__qualname__", "") or argument.__name__)
        elif event == "call" and frame.f_back is not None:
            kind = _PYTHON_MODULES.get(os.path.basename(frame.f_code.co_filename))
            if kind is not None:
                self._note(kind, frame.f_back, frame.f_code.co_qualname)

    def _note(self, kind: str, frame: FrameType, name: str) -> None:  # pragma: no cover - called by it
        if kind not in self._found and users_sites().is_user(frame.f_code.co_filename):
            file = os.path.basename(frame.f_code.co_filename)
            self._found[kind] = f"{name}() at {file}:{frame.f_lineno}"


def _kind_of_builtin(function: Any) -> str | None:  # pragma: no cover - called by it
    owner = getattr(function, "__self__", None)
    module = getattr(owner, "__name__", "")
    name = getattr(function, "__name__", "")
    if module == "time" and name not in ("sleep", "strftime", "gmtime", "localtime", "mktime"):
        return _CLOCK
    if name in ("now", "utcnow", "today") and module in ("datetime", "date"):
        return _CLOCK
    if isinstance(owner, random.Random) or (name == "urandom" and module in ("posix", "nt")):
        return _RANDOM
    if module == "_thread":
        return _THREADS
    return None
