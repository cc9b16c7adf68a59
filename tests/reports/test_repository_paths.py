from __future__ import annotations

import json
from typing import Any

from pytest_uno.reports.formats import FORMATS, render_report
from pytest_uno.reports.groups import RunSummary, group_findings
from pytest_uno.reports.repository_paths import relocate


def test_only_the_users_own_files_move(sightings: list[Any]) -> None:
    groups = group_findings(sightings)
    moved = relocate(groups, "services/shop")
    assert relocate(groups, "") == groups
    assert [group.fingerprint for group in moved] == [group.fingerprint for group in groups]
    for before, after in zip(groups, moved, strict=True):
        frames = (*before.finding.created, *before.finding.waiting_at)
        for old, new in zip(frames, (*after.finding.created, *after.finding.waiting_at), strict=True):
            assert new.file == (f"services/shop/{old.file}" if old.in_app else old.file)
    owners = {group.finding.owner.file for group in moved}
    assert owners == {None, "services/shop/tests/conftest.py"}


def test_services_get_the_paths_of_the_repository(sightings: list[Any]) -> None:
    run = RunSummary(5, "3.12.1", "shop", "services/shop")
    groups = group_findings(sightings)
    for name, form in FORMATS.items():
        assert ("services/shop/shop/hub.py" in render_report(name, groups, run)) is form.for_service
    places = {issue["location"]["path"] for issue in json.loads(render_report("gitlab", groups, run))}
    assert all(place.startswith("services/shop/") for place in places)
