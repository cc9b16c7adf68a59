"""Every private attribute of asyncio's transports, servers and subprocesses that the detectors touch, with its reason.

What is missing reads as "unknown", which is never a leak. `tests/leaks/test_transport_internals.py` checks each of them
on every supported Python.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from asyncio import base_events, base_subprocess, selector_events
from collections.abc import Mapping
from typing import Any, cast

__all__ = [
    "ASYNC_PROCESS",
    "SERVER",
    "TRANSPORTS",
    "address_of",
    "connections_of",
    "descriptor_of",
    "is_of_process",
    "is_open",
    "is_running",
    "loop_of",
    "popen_of",
    "program_of",
    "protocol_of",
    "raw_of",
    "raw_sockets",
    "server_of",
    "under_tls",
]

SERVER: type[Any] = base_events.Server
"""What `loop.create_server` returns (3.11 to 3.15)."""

ASYNC_PROCESS: type[Any] = base_subprocess.BaseSubprocessTransport
"""What `loop.subprocess_exec` makes (3.11 to 3.15)."""

_PIPE_PROTOCOL: type[Any] = base_subprocess.WriteSubprocessPipeProto


def _transport_classes() -> tuple[type[Any], ...]:
    # Not on Windows: imported only where asyncio itself has done so.
    unix: Any = sys.modules.get("asyncio.unix_events")
    names = ("_UnixReadPipeTransport", "_UnixWritePipeTransport")
    pipes = [getattr(unix, name, None) for name in names]
    stream: Any = getattr(selector_events, "_SelectorTransport", None)
    return tuple(cls for cls in (stream, *pipes) if cls is not None)


TRANSPORTS: tuple[type[Any], ...] = _transport_classes()
"""The base of the transports of sockets, and those of pipes (3.11 to 3.15); the second argument of their constructors
is the loop, the third the socket or pipe."""


def loop_of(thing: object) -> asyncio.AbstractEventLoop | None:
    """Return the loop of a transport; None once its connection is lost.

    `_loop` (3.11 to 3.15).

    Args:
        thing: a transport.
    """
    return cast("asyncio.AbstractEventLoop | None", getattr(thing, "_loop", None))


def server_of(transport: object) -> object | None:
    """Return the server that has accepted a connection; None for other transports.

    `_SelectorTransport._server` (3.11 to 3.15).

    Args:
        transport: the transport.
    """
    return cast("object | None", getattr(transport, "_server", None))


def is_open(transport: Any) -> bool:
    """Say whether nobody has told a transport to close, nor the user's transport above it with TLS.

    `SSLProtocol._app_transport` and its `_closed` (3.11 to 3.15): TLS says goodbye before the connection closes.

    Args:
        transport: a transport of a socket or pipe.
    """
    if loop_of(transport) is None or transport.is_closing():
        return False
    above = getattr(transport.get_protocol(), "_app_transport", None)
    return not getattr(above, "_closed", False)


def under_tls(transport: object) -> object:
    """Return the transport of the socket below one with TLS; any other one is its own.

    `_SSLProtocolTransport._ssl_protocol` and `SSLProtocol._transport` (3.11 to 3.15).

    Args:
        transport: the transport.
    """
    tls = getattr(transport, "_ssl_protocol", None)
    return getattr(tls, "_transport", None) or transport


def protocol_of(transport: Any) -> object:
    """Return the user's protocol of a transport, also with TLS.

    `SSLProtocol._app_protocol` (3.11 to 3.15).

    Args:
        transport: the transport.
    """
    protocol = transport.get_protocol()
    return getattr(protocol, "_app_protocol", None) or protocol


def is_of_process(transport: Any) -> bool:
    """Say whether a transport is a pipe to a subprocess of asyncio's.

    Args:
        transport: the transport.
    """
    return isinstance(transport.get_protocol(), _PIPE_PROTOCOL)


def raw_of(transport: Any) -> object | None:
    """Return the socket or pipe of a transport, also after it was closed.

    `TransportSocket._sock` (3.11 to 3.15).

    Args:
        transport: the transport.
    """
    wrapped = transport.get_extra_info("socket")
    return transport.get_extra_info("pipe") if wrapped is None else getattr(wrapped, "_sock", None)


def descriptor_of(transport: object) -> int | None:
    """Return the number of a transport's descriptor.

    `_SelectorTransport._sock_fd` and `_fileno` of pipes (3.11 to 3.15).

    Args:
        transport: an open transport.
    """
    return cast("int | None", getattr(transport, "_sock_fd", None) or getattr(transport, "_fileno", None))


def address_of(transport: Any) -> tuple[Any, Any] | None:
    """Return the addresses of both ends of a connection, ours first; None if it has none.

    Args:
        transport: the transport.
    """
    ends = transport.get_extra_info("sockname") or "", transport.get_extra_info("peername") or ""
    return ends if any(ends) else None


def raw_sockets(server: Any) -> tuple[object, ...]:
    """Return the sockets of a server.

    `TransportSocket._sock` (3.11 to 3.15).

    Args:
        server: the server; a closed one has none.
    """
    return tuple(getattr(sock, "_sock", None) for sock in server.sockets)


def connections_of(server: object, loop: asyncio.AbstractEventLoop) -> list[asyncio.Transport]:
    """Return the connections that a server has accepted and that are there yet.

    `BaseSelectorEventLoop._transports` (3.11 to 3.15) is by descriptor; other loops show none.

    Args:
        server: the server.
        loop: its loop.
    """
    transports: Mapping[int, Any] = getattr(loop, "_transports", None) or {}
    return [transport for transport in list(transports.values()) if server_of(transport) is server]


def popen_of(process: Any) -> subprocess.Popen[bytes] | None:
    """Return what runs the program of a subprocess of asyncio's.

    Args:
        process: the transport of the process.
    """
    popen: Any = process.get_extra_info("subprocess")
    return cast("subprocess.Popen[bytes] | None", popen if isinstance(popen, subprocess.Popen) else None)


def is_running(process: Any) -> bool:
    """Say whether nobody has seen a subprocess of asyncio's end, and nobody has closed it.

    `BaseSubprocessTransport._loop` (3.11 to 3.15). Nobody watches it any more when the loop is closed.

    Args:
        process: the transport of the process.
    """
    if process.is_closing() or process.get_returncode() is not None:
        return False
    loop, popen = loop_of(process), popen_of(process)
    if loop is None or popen is None:
        return False
    return not loop.is_closed() or popen.poll() is None


def program_of(popen: subprocess.Popen[Any] | None) -> str:
    """Return the name of the program that a process runs, without its folder.

    Args:
        popen: the process.
    """
    arguments: Any = getattr(popen, "args", ())
    if isinstance(arguments, str | bytes):
        arguments = arguments.split()
    elif isinstance(arguments, os.PathLike):
        arguments = (arguments,)
    first: Any = next(iter(arguments), "")
    name = first.decode(errors="replace") if isinstance(first, bytes) else str(first)
    return name.replace("\\", "/").rpartition("/")[2] or "process"
