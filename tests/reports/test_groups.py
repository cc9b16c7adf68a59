from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pytest_uno.leaks.model import Finding, Frame, OwnerInfo
from pytest_uno.reports.groups import Found, Sighting, group_findings, short_test_name

names = st.sampled_from(["a", "b", "c"])
frames = st.builds(Frame, names, st.integers(1, 3), names, names, st.booleans())
findings = st.builds(
    Finding,
    st.sampled_from(["UNO101", "UNO201"]),
    names,
    names,
    st.tuples(frames),
    st.just(()),
    st.none(),
    st.builds(OwnerInfo, st.just("test"), names, st.just("function")),
    names,
)
verdicts: st.SearchStrategy[tuple[Any, Any]] = st.sampled_from(
    [("new", "error"), ("baseline", "error"), ("allowed", "warn"), ("allowed", "error")]
)
found = st.lists(
    st.builds(
        lambda finding, test, worker, verdict, reason: Found(
            finding, test, worker, verdict[0], verdict[1], reason
        ),
        findings,
        names,
        st.none() | st.just("gw0"),
        verdicts,
        names,
    ),
    max_size=12,
)


@given(found, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(found: list[Any], random: Any) -> None:
    groups = group_findings(found)
    random.shuffle(found)
    assert group_findings(found) == groups


@given(found)
def test_every_finding_is_in_one_group(found: list[Any]) -> None:
    groups = group_findings(found)
    assert len({group.fingerprint for group in groups}) == len(groups)
    assert sum(group.count for group in groups) == len(found)
    for finding, test, worker, status, _, _ in found:
        (group,) = (group for group in groups if group.fingerprint == finding.fingerprint)
        assert Sighting(test, worker) in group.seen
        assert group.status == "new" or status != "new"
    keys = [
        (group.finding.rule, group.finding.created[0].file, group.finding.created[0].line) for group in groups
    ]
    assert keys == sorted(keys)


def test_short_names() -> None:
    assert short_test_name("tests/a.py::test_a") == "test_a"
    assert short_test_name("tests/a.py::TestA::test_a[x::y-1]") == "test_a[x::y-1]"
