"""What `pytest_uno.explore` offers, and nothing else."""

from __future__ import annotations

import pytest

from pytest_uno import explore


def test_names_are_found_when_they_are_asked_for() -> None:
    assert explore.__all__
    for name in explore.__all__:
        assert callable(getattr(explore, name))
    assert set(explore.__all__) <= set(dir(explore))
    with pytest.raises(AttributeError, match=r"'pytest_uno.explore' has no attribute 'nothing'"):
        getattr(explore, "nothing")  # noqa: B009 - types know that there is none
