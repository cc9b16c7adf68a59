"""What the detector of UNO409 has to know of each HTTP library: every attribute of theirs that it touches.

What a version of a library does not have reads as "nothing is open". `tests/leaks/test_http_libraries.py` checks each
of them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, cast

__all__ = ["LIBRARIES", "HttpLibrary"]


@dataclasses.dataclass(frozen=True, slots=True)
class HttpLibrary:
    """One class of clients.

    Attributes:
        package: the package, as users import it.
        module: where the class is defined.
        kind: the name of the class.
        is_open: says whether a client was used and not closed; also asked in its finaliser.
        pools_of: returns what holds the connections of a client.
        close: closes a client in a moment, without awaiting anything; must not raise.
    """

    package: str
    module: str
    kind: str
    is_open: Callable[[Any], bool]
    pools_of: Callable[[Any], list[object]]
    close: Callable[[Any], None]


def _is_open_in_aiohttp(session: Any) -> bool:
    # A session whose constructor has failed knows nothing.
    return not getattr(session, "closed", True)


def _pools_in_aiohttp(session: Any) -> list[object]:
    return [session.connector]


def _close_in_aiohttp(session: Any) -> None:
    """Do what `ClientSession.close` does up to its first `await`.

    `BaseConnector._close_immediately` or `_close`: the public `close` may start a task to wait in.
    """
    with contextlib.suppress(Exception):
        connector: Any = session.connector if session.connector_owner else None
        session.detach()
        close = getattr(connector, "_close_immediately", None) or getattr(connector, "_close", None)
        if close is not None and not inspect.iscoroutinefunction(close):
            close()


def _is_open_in_httpx(client: Any) -> bool:
    """Say whether a client was used and not closed; `BaseClient._state`, since `is_closed` is not enough."""
    return getattr(getattr(client, "_state", None), "name", None) == "OPENED"


def _transports_in_httpx(client: Any) -> list[Any]:
    """Return what a client sends its requests by: `_transport`, and by address or proxy `_mounts`."""
    return [getattr(client, "_transport", None), *getattr(client, "_mounts", {}).values()]


def _pools_in_httpx(client: Any) -> list[object]:
    """Return the pools of connections; `HTTPTransport._pool`. Other transports may hold all of an application."""
    return [
        transport._pool
        for transport in _transports_in_httpx(client)
        if type(transport).__module__.partition(".")[0] == "httpx" and hasattr(transport, "_pool")
    ]


def _is_open_in_sync_httpx(client: Any) -> bool:
    return _is_open_in_httpx(client) and bool(_pools_in_httpx(client))


def _close_async_httpx(client: Any) -> None:
    """Mark a client as closed; its connections are closed by themselves."""
    with contextlib.suppress(Exception):
        states = cast("Any", type(client._state))
        client._state = states["CLOSED"]


def _close_sync_httpx(client: Any) -> None:
    with contextlib.suppress(Exception):
        client.close()


LIBRARIES = (
    HttpLibrary(
        "aiohttp",
        "aiohttp.client",
        "ClientSession",
        _is_open_in_aiohttp,
        _pools_in_aiohttp,
        _close_in_aiohttp,
    ),
    HttpLibrary(
        "httpx", "httpx._client", "AsyncClient", _is_open_in_httpx, _pools_in_httpx, _close_async_httpx
    ),
    HttpLibrary(
        "httpx", "httpx._client", "Client", _is_open_in_sync_httpx, _pools_in_httpx, _close_sync_httpx
    ),
)
"""Every class of clients that is watched."""
