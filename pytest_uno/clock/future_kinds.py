"""Who will finish a future: read from the file of the code that made it.

A future is made where the wait begins, and the code that makes it knows who will end it: `Lock.acquire` another
task, `wrap_future` a thread, a database driver its connection. So the clock need not walk through all tasks at each
jump; one look into a dictionary when the future is made tells it.
"""

from __future__ import annotations

import asyncio
import asyncio.base_events
import asyncio.base_subprocess
import asyncio.selector_events
import asyncio.sslproto
import asyncio.staggered
import asyncio.subprocess
import os
import sys
import types

from pytest_uno.core.errors import compose_message

__all__ = [
    "BARE",
    "DURABLE",
    "KINDS",
    "LISTENING",
    "NETWORK",
    "READING",
    "WORK",
    "kind_of",
    "register_external_package",
]

DURABLE = 0
"""The loop itself finishes it: another task, or a timer."""

WORK = 1
"""Something outside the loop is certainly at work for it."""

LISTENING = 2
"""It waits for something from outside that may never come."""

BARE = 3
"""A plain future of unknown code: the loop's own, unless traffic from outside came after its creation."""

NETWORK = 4
"""A future of a package that speaks through this loop's own connections, as a server or as a client.

It counts while a reply is expected from outside, and is a plain future otherwise: both ends may be in this loop.
"""

READING = 5
"""A stream's reader waits for data: it is known by the reader, see `OutsideFutures.note_reader`."""

_EXTERNAL_PACKAGES = {
    *(
        "aiosqlite",
        "sqlalchemy",  # it sets the isolation level of aiosqlite in that one's thread
        "asyncpg",
        "psycopg",
        "aiomysql",
        "asyncmy",
        "aiopg",
        "aioodbc",
        "aioduckdb",
        "pymongo",
        "motor",
    ),
    *("redis", "valkey", "grpc", "aiokafka", "zmq"),
}
"""Top-level packages whose bare futures are finished from outside the loop."""

_NETWORK_PACKAGES = {"aiohttp", "httpcore", "websockets", "asyncssh", "aio_pika", "aiormq", "nats"}
"""Top-level packages whose bare futures are finished by what comes through connections of the loop."""

_Kind = int | dict[str | None, int]


def _file(module: types.ModuleType) -> str:
    return module.__file__ or ""


KINDS: dict[str, _Kind] = {
    _file(asyncio.locks): DURABLE,
    _file(asyncio.queues): DURABLE,
    _file(asyncio.tasks): DURABLE,
    _file(asyncio.taskgroups): DURABLE,
    _file(asyncio.timeouts): DURABLE,
    _file(asyncio.staggered): DURABLE,
    _file(asyncio.subprocess): DURABLE,
    _file(asyncio.sslproto): DURABLE,
    _file(asyncio.futures): {None: DURABLE, "wrap_future": WORK},
    _file(asyncio.base_events): {None: WORK, "wait_closed": DURABLE, "serve_forever": DURABLE},
    _file(asyncio.selector_events): {
        None: DURABLE,
        **dict.fromkeys(("sock_connect", "sock_sendall", "sock_sendto", "_make_empty_waiter"), WORK),
        **dict.fromkeys(
            ("sock_recv", "sock_recv_into", "sock_recvfrom", "sock_recvfrom_into", "sock_accept"), LISTENING
        ),
    },
    _file(asyncio.base_subprocess): {None: LISTENING},
    _file(asyncio.streams): {None: DURABLE, "_wait_for_data": READING},
}
"""The kind of a future by the file of its maker, and where that is not enough by the maker's function."""

for _module in ("unix_events", "windows_events"):
    if f"asyncio.{_module}" in sys.modules:
        KINDS[_file(sys.modules[f"asyncio.{_module}"])] = WORK
for _module in ("virtual_clock", "virtual_loop", "decision", "failure"):
    KINDS[os.path.join(os.path.dirname(__file__), f"{_module}.py")] = DURABLE


def kind_of(frame: types.FrameType) -> int:
    """Return the kind of the future that this frame makes.

    Args:
        frame: the frame that calls `create_future`.
    """
    kind = KINDS.get(frame.f_code.co_filename)
    if kind is None:
        kind = _learn(frame)
    if isinstance(kind, dict):
        return kind.get(frame.f_code.co_name, kind[None])
    return kind


def _learn(frame: types.FrameType) -> int:
    module: str = frame.f_globals.get("__name__") or ""
    package = module.partition(".")[0]
    kind = BARE
    if package in _EXTERNAL_PACKAGES:
        kind = WORK
    elif package in _NETWORK_PACKAGES:
        kind = NETWORK
    KINDS[frame.f_code.co_filename] = kind
    return kind


def register_external_package(name: str) -> None:
    """Tell the clock that what a package waits for is finished from outside the loop.

    Virtual time stands still while a future that the package made is unfinished and awaited. Holds for every loop of
    the process. Needed only for packages that make their futures with `loop.create_future()` and finish them from a
    thread or a C library: what reads from sockets or runs in executors is known without.

    Args:
        name: the top-level name that is imported, for example `mydriver`.

    Raises:
        ValueError: it is not the name of a top-level package.
    """
    if not name.isidentifier():
        raise ValueError(
            compose_message(
                f"register_external_package({name!r}): not the name of a top-level package",
                fix=f"give the name before the first dot: {name.partition('.')[0]!r}",
                anchor="external-package",
            )
        )
    _EXTERNAL_PACKAGES.add(name)
    for file in [file for file, kind in KINDS.items() if kind in (BARE, NETWORK)]:
        del KINDS[file]  # learnt before the package was known
