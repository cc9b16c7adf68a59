"""The leaks of a made-up project, of every kind."""

from __future__ import annotations

from pytest_uno.leaks.model import Finding, Frame, OwnerInfo
from pytest_uno.reports.groups import Found, Group, Level, Status, group_findings

__all__ = ["leaks_of_a_project"]

_LONG_LINE = "return asyncio.create_task(poll(queue, sent), name='receipt-poller')  # " + "and so on " * 20


def leaks_of_a_project() -> list[Group]:
    """Return eight leaks of four creators: three new ones, two warnings, two known ones, and one that is allowed."""
    found = [
        *_leak("UNO101", "shop/poller.py", "start_poller", "poll", 9),
        *_leak("UNO102", "shop/poller.py", "start_poller", "boom", 1),
        *_leak("UNO301", "shop/repo.py", "Orders.__init__", "AsyncSession", 3),
        *_leak("UNO103", "shop/hub.py", "Hub.start", "pump", 2, "allowed", "warn"),
        *_leak("UNO601", "shop/hub.py", "Hub.start", "hash", 1, "allowed", "warn"),
        *_leak("UNO404", "shop/feed.py", "Feed.open", "socket", 4, "baseline"),
        *_leak("UNO407", "shop/poller.py", "start_poller", "Thread", 1, "baseline"),
        *_leak(
            "UNO409",
            "shop/feed.py",
            "Feed.open",
            "Client",
            1,
            "allowed",
            reason="closes at exit, see SHOP-12",
        ),
    ]
    return group_findings(found)


def _leak(
    rule: str,
    file: str,
    function: str,
    target: str,
    tests: int,
    status: Status = "new",
    level: Level = "error",
    reason: str = "",
) -> list[Found]:
    caller = Frame("tests/test_orders.py", 23, "test_checkout", "start(queue, sent)", True)
    finding = Finding(
        rule,
        f"{target} of {rule}",
        target,
        (Frame(file, 11, function, _LONG_LINE, True), caller),
        (Frame(file, 6, target, "receipt = await queue.get()", True), caller),
        None,
        OwnerInfo("fixture", "hub", "session", "tests/conftest.py", 12),
        "Traceback (most recent call last):\nRuntimeError: boom"
        + "\n  more" * (20 if target == "boom" else 0),
    )
    names = (f"tests/test_orders.py::TestOrders::test_{target}[{number}-EUR]" for number in range(tests))
    return [Found(finding, name, None, status, level, reason) for name in names]
