from __future__ import annotations

from typing import Any

import pytest

from pytest_uno.leaks.model import Finding, Frame, OwnerInfo
from pytest_uno.reports.groups import Found


def _finding(**changes: Any) -> Finding:
    members: dict[str, Any] = {
        "rule": "UNO101",
        "subject": "task 'receipt-poller' running poll()",
        "target": "poll",
        "created": (
            Frame(
                "shop/poller.py",
                11,
                "start_poller",
                'return asyncio.create_task(poll(queue, sent), name="receipt-poller")',
                True,
            ),
            Frame(
                "tests/test_orders.py", 23, "test_checkout_sends_receipt", "start_poller(queue, sent)", True
            ),
        ),
        "waiting_at": (Frame("shop/poller.py", 6, "poll", "receipt = await queue.get()", True),),
        "awaited_by": None,
        "owner": OwnerInfo("test", "test_checkout_sends_receipt", "function"),
        "details": "",
    }
    return Finding(**{**members, **changes})


LOST = _finding(
    rule="UNO102",
    subject="task running boom() failed with RuntimeError and nobody looked",
    target="boom",
    created=(Frame("shop/hub.py", 40, "Hub.start", "self.pump = asyncio.create_task(boom())", True),),
    waiting_at=(),
    owner=OwnerInfo("fixture", "hub", "session", "tests/conftest.py", 12),
    details='Traceback (most recent call last):\n  File "shop/hub.py", line 3, in boom\n\nRuntimeError: boom',
)

NESTED = _finding(
    subject="task running Feed.read()",
    target="Feed.read",
    created=(Frame("/opt/python3.12/site-packages/feed/core.py", 7, "Feed.open", "", False),),
    waiting_at=(
        Frame("shop/feed.py", 9, "Feed.next", "return await self.queue.get()", True),
        Frame("shop/feed.py", 20, "Feed.read", "item = await self.next()", True),
    ),
    awaited_by="task 'reader' running read_all()",
)


@pytest.fixture
def make_finding() -> Any:
    return _finding


@pytest.fixture
def sightings() -> list[Found]:
    """Three distinct leaks, seen in four tests, one of them twice in one test."""
    return [
        Found(_finding(), "tests/test_orders.py::test_checkout_sends_receipt", "gw0"),
        Found(_finding(), "tests/test_orders.py::test_refund_sends_receipt", "gw1"),
        Found(LOST, "tests/test_hub.py::TestHub::test_hub[a::b]", None),
        Found(NESTED, "tests/test_feed.py::test_feed", None),
        Found(NESTED, "tests/test_feed.py::test_feed", None),
    ]


@pytest.fixture
def judged(sightings: list[Found]) -> list[Found]:
    """The sightings, which are new, and one leak of each other kind."""
    server = _finding(
        rule="UNO402",
        subject="server on 127.0.0.1:8080",
        target="Server",
        created=(
            Frame("/opt/python3.12/site-packages/web/serve.py", 30, "serve", "", False),
            Frame("shop/app.py", 8, "start", "server = await web.serve(app, port=8080)", True),
        ),
        waiting_at=(),
    )
    blocked = _finding(
        rule="UNO601",
        subject="resize() kept the loop from running for 412 ms",
        target="resize",
        created=(Frame("shop/images.py", 5, "resize", "image = image.resize(size)", True),),
        waiting_at=(),
    )
    lock = _finding(
        rule="UNO502",
        subject="lock held by task 'stock'",
        target="Lock",
        created=(Frame("shop/stock.py", 19, "reserve", "await lock.acquire()", True),),
        waiting_at=(),
    )
    return [
        *sightings,
        Found(server, "tests/test_app.py::test_start", None, "baseline"),
        Found(blocked, "tests/test_images.py::test_resize", None, "allowed", "warn"),
        Found(lock, "tests/test_stock.py::test_reserve", None, "allowed", reason="until a | b is gone"),
    ]
