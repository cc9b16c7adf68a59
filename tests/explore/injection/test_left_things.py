"""What detectors find after a run is reported, and disposed of where that is possible."""

from __future__ import annotations

from pytest_uno.explore.injection.left_things import LeftThings
from pytest_uno.leaks.judging import Suspect
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.owners import Owner
from tests.explore.injection.loops import run


def test_each_is_disposed_of_once_as_far_as_it_can_be() -> None:
    disposed: list[str] = []
    owner = Owner("test", "run")

    def suspect(name: str) -> Suspect:
        def describe(info: OwnerInfo) -> Finding:
            return Finding("UNO404", name, name, (), (), None, info)

        def dispose() -> None:
            disposed.append(name)
            raise OSError("closed already")

        return Suspect(name, owner, describe, lambda _: None, None if name == "fixed" else dispose)

    suspects = [suspect("first"), suspect("fixed"), suspect("last")]

    async def main() -> list[str]:
        left = LeftThings(lambda *_: suspects, owner)
        texts = [remains.text for remains in await left.look()]
        left.dispose()
        left.dispose()
        return texts

    assert run(main()) == ["UNO404 first", "UNO404 fixed", "UNO404 last"]
    assert disposed == ["first", "last"]
    assert owner.ended
