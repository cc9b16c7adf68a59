"""A pytest plugin for one run: tests written for anyio's plugin become plain async tests, on asyncio alone.

Load it with `-p no:anyio -p adopt_anyio_tests`. The markers `anyio` go, and so do the parameters `anyio_backend`:
a test that names other backends only is skipped. What else anyio's plugin gives to tests is given here.
"""

from __future__ import annotations

from typing import Any

import pytest
from anyio.pytest_plugin import (
    free_tcp_port,
    free_tcp_port_factory,
    free_udp_port,
    free_udp_port_factory,
)

__all__ = ["free_tcp_port", "free_tcp_port_factory", "free_udp_port", "free_udp_port_factory"]

BACKEND = "anyio_backend"


@pytest.fixture
def anyio_backend_name() -> str:
    """The only backend of the run."""
    return "asyncio"


@pytest.fixture
def anyio_backend_options() -> dict[str, Any]:
    """The options with which tests start more event loops."""
    return {}


def pytest_configure(config: pytest.Config) -> None:
    """Know the marker, which may stand on modules too."""
    config.addinivalue_line("markers", "anyio: of anyio's plugin; without effect in this run")


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(obj: Any) -> None:
    """Take from a test and from a class what belongs to anyio's plugin."""
    marks: list[pytest.Mark] | None = getattr(obj, "__dict__", {}).get("pytestmark")
    if marks:
        obj.pytestmark = [changed for mark in marks for changed in _without_anyio(mark)]


def _without_anyio(mark: pytest.Mark) -> list[pytest.Mark]:
    if mark.name == "anyio":
        return []
    if mark.name == "parametrize" and mark.args[0] == BACKEND:
        return (
            []
            if any(_is_asyncio(value) for value in mark.args[1])
            else [pytest.mark.skip("asyncio only").mark]
        )
    return [mark]


def _is_asyncio(value: Any) -> bool:
    value = value.values[0] if hasattr(value, "values") else value
    return "asyncio" in (value, value[0])
