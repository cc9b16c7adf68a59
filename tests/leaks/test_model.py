from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_uno.leaks.model import Finding, Frame, OwnerInfo
from pytest_uno.leaks.owners import Owner

text = st.text(max_size=20)
frames = st.builds(Frame, text, st.integers(1, 10**6), text, text, st.booleans())
owners = st.builds(
    OwnerInfo,
    st.sampled_from(["test", "fixture", "session"]),
    text,
    text,
    st.none() | text,
    st.none() | st.integers(1, 99),
)
findings = st.builds(
    Finding,
    st.sampled_from(["UNO101", "UNO102"]),
    text,
    text,
    st.lists(frames, min_size=1, max_size=3).map(tuple),
    st.lists(frames, max_size=3).map(tuple),
    st.none() | text,
    owners,
    text,
)


@given(findings)
def test_a_finding_survives_json(finding: Finding) -> None:
    data = json.loads(json.dumps(finding.to_json()))
    assert Finding.from_json(data) == finding
    assert Finding.from_json({**data, "of a later version": 1}) == finding


@given(findings, st.integers(1, 10**6), text, owners)
def test_the_fingerprint_survives_edits(finding: Finding, line: int, code: str, owner: OwnerInfo) -> None:
    moved = tuple(dataclasses.replace(frame, line=line, code=code) for frame in finding.created)
    changed = dataclasses.replace(
        finding, created=(moved[0], *moved[2:]), owner=owner, subject=code, details=code, waiting_at=()
    )
    assert changed.fingerprint == finding.fingerprint
    assert len(finding.fingerprint) == 16
    int(finding.fingerprint, 16)


@given(findings, st.sampled_from(["rule", "target", "file", "function"]))
def test_the_fingerprint_tells_leaks_apart(finding: Finding, member: str) -> None:
    first = finding.created[0]
    change: dict[str, Any]
    if member in ("file", "function"):
        changes: dict[str, Any] = {"in_app": True, member: "another one"}
        change = {"created": (dataclasses.replace(first, **changes),)}
        finding = dataclasses.replace(finding, created=(dataclasses.replace(first, in_app=True),))
    else:
        change = {member: "another one"}
    assert dataclasses.replace(finding, **change).fingerprint != finding.fingerprint


@pytest.mark.parametrize(
    "path",
    [
        "/home/me/.venv/lib/python3.11/site-packages/feed/core.py",
        "/usr/lib/python3/dist-packages/feed/core.py",
        "C:\\py\\Lib\\site-packages\\feed\\core.py",
        "/usr/lib/python3.15/feed/core.py",
    ],
)
def test_the_fingerprint_survives_another_machine(path: str) -> None:
    def at(path: str) -> str:
        frame = Frame(path, 1, "f", "", False)
        return Finding("UNO101", "s", "t", (frame,), (), None, OwnerInfo("test", "x", "function")).fingerprint

    assert at(path) == at("/opt/lib/python3.12/site-packages/feed/core.py")


def test_owners_describe_themselves() -> None:
    assert Owner("test", "test_x").describe() == "test test_x"
    assert Owner("session", "").describe() == "the session"
    assert Owner("fixture", "hub", "session").describe() == "fixture 'hub' (session)"
    assert Owner("fixture", "hub", "module", "a.py").describe() == "fixture 'hub' (module, a.py)"
    owner = Owner("fixture", "hub", "session", "tests/conftest.py", 12, ended=True)
    assert OwnerInfo.of(owner).describe() == "fixture 'hub' (session, tests/conftest.py:12)"
    assert repr(owner) == "<Owner fixture 'hub' (session, tests/conftest.py:12), ended>"
    assert repr(Owner("test", "test_x")) == "<Owner test test_x>"
