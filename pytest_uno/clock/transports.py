"""How the virtual loop makes transports: with our own, which count the bytes through their sockets."""

from __future__ import annotations

import socket
from asyncio import sslproto
from collections.abc import Callable
from typing import Any

from pytest_uno.clock.connections import VirtualSocketTransport
from pytest_uno.clock.datagrams import VirtualDatagramTransport
from pytest_uno.clock.subprocesses import SubprocessLoop

__all__ = ["TransportLoop"]


class TransportLoop(SubprocessLoop):
    """The part of the virtual loop that makes transports of connections and datagrams."""

    _ensure_fd_no_transport: Callable[[Any], None]

    def _make_socket_transport(
        self, sock: socket.socket, protocol: Any, waiter: Any = None, **options: Any
    ) -> VirtualSocketTransport:
        self._ensure_fd_no_transport(sock)
        self.outside.is_noted = True
        return VirtualSocketTransport(
            self, sock, protocol, waiter, connections=self.outside.connections, **options
        )

    def _make_datagram_transport(
        self, sock: socket.socket, protocol: Any, *args: Any, **options: Any
    ) -> VirtualDatagramTransport:
        self._ensure_fd_no_transport(sock)
        self.outside.is_noted = True
        return VirtualDatagramTransport(
            self, sock, protocol, *args, datagrams=self.outside.datagrams, **options
        )

    def _make_ssl_transport(
        self,
        rawsock: socket.socket,
        protocol: Any,
        sslcontext: Any,
        waiter: Any = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        ssl_handshake_timeout: Any = None,
        ssl_shutdown_timeout: Any = None,
        **options: Any,
    ) -> Any:
        """Make asyncio's TLS transport on top of ours; `context` came with 3.15."""
        self._ensure_fd_no_transport(rawsock)
        tls = sslproto.SSLProtocol(
            self,
            protocol,
            sslcontext,
            waiter,
            server_side,
            server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        self.outside.is_noted = True
        VirtualSocketTransport(self, rawsock, tls, connections=self.outside.connections, **options)
        return tls._app_transport
