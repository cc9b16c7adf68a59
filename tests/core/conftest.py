from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture
def handlers_are_restored() -> Iterator[None]:
    def own_handler(number: int, frame: object) -> None:
        pytest.fail("the application's handler was not in place")

    kept = [signal.signal(number, own_handler) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    restored = [signal.signal(n, h) for n, h in zip((signal.SIGINT, signal.SIGTERM), kept, strict=True)]
    assert restored == [own_handler, own_handler]
