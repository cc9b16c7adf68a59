"""UNO301 to UNO304: what is left of SQLAlchemy's sessions, connections and engines.

SQLAlchemy is never imported from here: the detectors begin once it is found to be imported, and cost nothing before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_uno.leaks.asyncio_internals import warning_sink
from pytest_uno.leaks.hook_table import Hook
from pytest_uno.leaks.judging import FurtherDetector, Judgement, Ledger, Suspect
from pytest_uno.leaks.owners import Owner
from pytest_uno.leaks.sites import Sites
from pytest_uno.leaks.tasks.task_births import TaskBirths

if TYPE_CHECKING:
    from pytest_uno.database.leaks.open_engines import OpenEngines
    from pytest_uno.database.leaks.taken_connections import TakenConnections

__all__ = ["DatabaseLeaks"]

_MODULE = "sqlalchemy.ext.asyncio"


class DatabaseLeaks(FurtherDetector):
    """The detector of UNO301 to UNO304: sessions before connections before engines.

    Args:
        sites: records and resolves the sites.
        births: knows the test that runs.
        ledger: takes what goes before it was closed.
    """

    on_loops = False  # an engine may serve one loop after the other

    def __init__(self, sites: Sites, births: TaskBirths, ledger: Ledger) -> None:
        self._sites = sites
        self._births = births
        self._ledger = ledger
        self._is_installed = False
        self._sink: object = None
        self._taken: TakenConnections | None = None
        self._engines: OpenEngines | None = None

    def hooks(self) -> tuple[Hook, ...]:
        """Return the hook of SQLAlchemy; where it is not imported yet, it is patched in `snapshot`."""
        return (
            Hook(
                "sqlalchemy: the pool events checkout, connect, close and detach, the session event after_begin; "
                "AsyncSession.__init__, AsyncConnection.__init__, Engine.__init__, _finalize_fairy",
                "nobody else sees what is made, where, and whether it goes without having been closed",
                self._install,
            ),
        )

    def snapshot(self, owner: Owner) -> None:
        """Begin if SQLAlchemy was imported meanwhile, and take note of what receives the warnings of the test."""
        self._begin()
        self._sink = warning_sink()

    def forget_test(self) -> None:
        """Close what leaked tasks have held."""
        if self._taken is not None:
            self._taken.forget_test()

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return what those who are judged have left open."""
        if self._taken is None or self._engines is None:
            return []
        return [*self._taken.compare(judgement), *self._engines.compare(judgement)]

    def _install(self) -> Callable[[], None]:
        self._is_installed = True
        self._begin()

        def remove() -> None:
            self._is_installed = False
            if self._taken is not None and self._engines is not None:
                self._engines.remove()
                self._taken.remove()
                self._taken = self._engines = None

        return remove

    def _begin(self) -> None:
        if self._taken is not None or not self._is_installed or _MODULE not in sys.modules:
            return
        from pytest_uno.database.leaks.open_engines import OpenEngines
        from pytest_uno.database.leaks.recorder import Recorder
        from pytest_uno.database.leaks.taken_connections import TakenConnections

        recorder = Recorder(self._sites, self._births, self._ledger, self._is_expected)
        self._taken, self._engines = TakenConnections(recorder), OpenEngines(recorder)
        self._taken.install()
        self._engines.install()

    def _is_expected(self) -> bool:
        """Say whether the test records warnings just now: then it wants to see those of SQLAlchemy and its driver."""
        return self._births.current is not None and warning_sink() is not self._sink
