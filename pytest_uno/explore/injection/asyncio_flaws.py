"""Where asyncio itself drops a cancellation: no operation can do anything about it.

* `TaskGroup` of 3.11 and 3.12, while it waits for children that it has cancelled since another one has failed, raises
  the group of their errors alone. From 3.13 on it cancels its task once more.
* `wait_for` of 3.11 returns a result that has come, whoever cancels it.
"""

from __future__ import annotations

import asyncio
import gc
import sys

from pytest_uno.clock.await_chain import await_links

__all__ = ["drops_cancellation"]

_GROUP_DROPS = sys.version_info < (3, 13)
_WAIT_FOR_DROPS = sys.version_info < (3, 12)


def drops_cancellation(coroutine: object, moment: str) -> bool:
    """Say whether asyncio drops a cancellation that comes now.

    Args:
        coroutine: what is suspended.
        moment: `wait` or `wake`.
    """
    return _GROUP_DROPS and _drops(coroutine, moment)


def _drops(coroutine: object, moment: str) -> bool:  # pragma: no cover - until 3.12 only
    links = await_links(coroutine)
    if not links:
        return False
    innermost = links[-1]
    if innermost.code is asyncio.TaskGroup.__aexit__.__code__:
        held = gc.get_referents(innermost.awaitable)  # its locals: to ask the frame would pin them
        return any(isinstance(each, asyncio.TaskGroup) and getattr(each, "_aborting", False) for each in held)
    return _WAIT_FOR_DROPS and moment == "wake" and innermost.code is asyncio.wait_for.__code__
