"""The oracle of leaks: what the detectors of a test find of an operation when its world has been torn down.

They judge by owners, so each run has one of its own, in the context of the operation. It ends with the run, so that
what is not disposed of is reported with the test.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from pytest_uno.explore.injection.grace import turn_until
from pytest_uno.explore.injection.oracles import Remains, Scene
from pytest_uno.leaks.inquiry import FAILS, LEFT_BY, LeftBy
from pytest_uno.leaks.judging import Suspect
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.owners import OWNER, Owner

__all__ = ["LeftThings"]


class LeftThings:
    """Looks for what the detectors find; for nothing outside of tests that are watched.

    Args:
        left_by: asks the detectors; None if there are none.
        owner: the owner of the run.
    """

    is_late = True

    def __init__(self, left_by: LeftBy | None, owner: Owner) -> None:
        self._left_by = left_by
        self._owner = owner
        self._suspects: list[Suspect] = []

    @classmethod
    async def begin(cls, scene: Scene) -> LeftThings:
        """Begin.

        Args:
            scene: the run.
        """
        test, left_by = OWNER.get(), LEFT_BY.get()
        if test is None or left_by is None:
            return cls(None, Owner("test", ""))
        owner = Owner(test.kind, test.name, test.scope, test.file, test.line)
        scene.tasks.context.run(OWNER.set, owner)
        return cls(left_by, owner)

    async def look(self) -> Sequence[Remains]:
        """Return what is left after a moment's grace, in which connections that were closed come to their end."""
        left_by = self._left_by
        if left_by is None:
            return []
        loop = asyncio.get_running_loop()

        def is_settled() -> bool:
            self._suspects = left_by(self._owner, loop)
            return not self._suspects

        try:
            await turn_until(is_settled)
            return self._failing()
        finally:
            self._owner.ended = True

    def _failing(self) -> list[Remains]:
        """Keep what fails the test: the rest is its detectors' business, which report it at the end."""
        fails, owner = FAILS.get(), OwnerInfo.of(self._owner)
        found = [(suspect, suspect.describe(owner)) for suspect in self._suspects]
        found = [(suspect, finding) for suspect, finding in found if fails(finding)]
        self._suspects = [suspect for suspect, _ in found]
        return [Remains(_describe(finding)) for _, finding in found]

    def dispose(self) -> None:
        """Close it: it is reported."""
        for suspect in self._suspects:
            if suspect.dispose is not None:
                with contextlib.suppress(Exception):  # the user's objects: their clean-up may fail
                    suspect.dispose()
        self._suspects = []


def _describe(finding: Finding) -> str:
    created = finding.created[0] if finding.created else None
    place = "" if created is None else f", made at {created.file}:{created.line}: {created.code}"
    return f"{finding.rule} {finding.subject}{place}"
