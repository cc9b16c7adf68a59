"""Each bug of the corpus is found, and its fixed twin is not."""

from __future__ import annotations

import pytest

from pytest_uno.explore import InjectionError, assert_cancel_safe, assert_fault_safe
from tests.explore.injection.bank_database import DATABASE_CANCELLATIONS
from tests.explore.injection.cancellation_case import Cancellation
from tests.explore.injection.faults import FAULTS, Fault
from tests.explore.injection.loops import run
from tests.explore.injection.lost_states import LOST_STATES
from tests.explore.injection.open_ends import OPEN_ENDS

_ALL = (*LOST_STATES, *OPEN_ENDS, *DATABASE_CANCELLATIONS)
_TIMES = ("before", "after")


@pytest.mark.parametrize("moment", ["wait", "wake"])
@pytest.mark.parametrize("case", _ALL, ids=lambda case: case.id)
def test_a_fixed_operation_is_safe_to_cancel(case: Cancellation, moment: str) -> None:
    injections = run(assert_cancel_safe(case.fixed, case.setup, case.check, case.teardown, moments=(moment,)))
    assert injections > 0


@pytest.mark.parametrize(
    ("case", "moment"),
    [(case, moment) for case in _ALL for moment in case.moments],
    ids=lambda each: str(getattr(each, "id", each)),
)
def test_a_cancellation_that_breaks_something_is_found(case: Cancellation, moment: str) -> None:
    with pytest.raises(InjectionError) as caught:
        run(assert_cancel_safe(case.buggy, case.setup, case.check, case.teardown, moments=(moment,)))
    assert all(failure.only.startswith(moment) for failure in caught.value.failures)
    assert case.buggy.__name__ in str(caught.value)


@pytest.mark.parametrize("case", _ALL, ids=lambda case: case.id)
def test_both_moments_are_the_default(case: Cancellation) -> None:
    with pytest.raises(InjectionError, match="is not safe to cancel"):
        run(assert_cancel_safe(case.buggy, case.setup, case.check, case.teardown))


@pytest.mark.parametrize("time", _TIMES)
@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case.id)
def test_a_fixed_operation_bears_faults(case: Fault, time: str) -> None:
    run(
        assert_fault_safe(
            case.fixed, case.target, ConnectionError, (time,), setup=case.setup, check=case.check
        )
    )


@pytest.mark.parametrize("time", _TIMES)
@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case.id)
def test_a_fault_that_breaks_something_is_found(case: Fault, time: str) -> None:
    found: list[str] = []
    try:
        run(
            assert_fault_safe(
                case.buggy, case.target, ConnectionError, (time,), setup=case.setup, check=case.check
            )
        )
    except InjectionError as exc:
        found = [failure.only for failure in exc.failures]
    assert bool(found) == (time in case.moments)
