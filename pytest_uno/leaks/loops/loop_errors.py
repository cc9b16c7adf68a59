"""UNO104 loop-error: an exception that only the event loop's exception handler saw.

A callback that raises, a protocol that fails, a generator that cannot be closed: nobody awaits those, so
the loop logs them and goes on, and a test passes all the same.
"""

from __future__ import annotations

import re
from functools import partial
from types import TracebackType
from typing import Any

from pytest_uno.leaks.asyncio_internals import callback_of, context_of
from pytest_uno.leaks.judging import Judgement, Ledger, Suspect
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.sites import Sites
from pytest_uno.leaks.tasks.task_births import TaskBirths
from pytest_uno.leaks.tasks.task_exceptions import traceback_text

__all__ = ["LoopErrors"]

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class LoopErrors:
    """The detector of UNO104.

    Args:
        sites: turns tracebacks into frames.
        births: knows whose a task is.
        ledger: takes the errors as they come.
    """

    def __init__(self, sites: Sites, births: TaskBirths, ledger: Ledger) -> None:
        self._sites = sites
        self._births = births
        self._ledger = ledger

    def snapshot(self, owner: Owner) -> None:
        """Do nothing: errors are noted as they come."""

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return nothing: what has come is in the ledger, and no wider fixture excuses an error."""
        return []

    def owner_of(self, context: dict[str, Any]) -> Owner | None:
        """Say whose an error is.

        Args:
            context: what the loop hands to its exception handler.
        """
        for key in ("task", "future"):
            if hasattr(context.get(key), "get_coro"):
                return self._births.owner(context[key])
        variables = context_of(context.get("handle"))
        return OWNER.get() if variables is None else variables.get(OWNER)

    def handle(self, context: dict[str, Any]) -> bool:
        """Note what a loop reports.

        Args:
            context: what the loop hands to its exception handler.

        Returns:
            Whether there was an exception in it.
        """
        exc = context.get("exception")
        if not isinstance(
            exc, Exception
        ):  # a message alone is a warning; KeyboardInterrupt is the user's will
            return False
        callback = callback_of(context.get("handle"))
        code = getattr(getattr(callback, "__func__", callback), "__code__", None)
        if callback is None:
            message = _ADDRESS.sub("", str(context.get("message", "")).partition("\n")[0])
            place, target = f": {message}" if message else "", type(exc).__qualname__
        else:
            target = getattr(callback, "__qualname__", None) or type(callback).__qualname__
            place = f" in callback {target}()"
        created = self._sites.from_traceback(exc)
        if code is not None and not any(frame.in_app for frame in created):
            created = self._sites.definition(code)
        finding = Finding(
            rule="UNO104",
            subject=f"{type(exc).__qualname__}{place}",
            target=target,
            created=created,
            waiting_at=(),
            awaited_by=None,
            owner=OwnerInfo("session", "", "session"),
            details=traceback_text(exc),
        )
        # What a callback raises goes no further. What a library hands over may be the exception of a task, which
        # raises it again for whoever awaits the task later: then it is not the handler alone that saw it.
        is_settled = None if callback is not None else partial(self._has_reached_user, exc, exc.__traceback__)
        self._ledger.record(self.owner_of(context), finding, is_settled=is_settled)
        return True

    def _has_reached_user(self, exc: Exception, known: TracebackType | None) -> bool:
        """Say whether an exception was raised again since, in code of the user's; a library may only swallow it."""
        raised = exc.__traceback__
        while raised is not None and raised is not known:
            if self._sites.is_user(raised.tb_frame.f_code.co_filename):
                return True
            raised = raised.tb_next
        return False
