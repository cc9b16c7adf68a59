"""The private attributes are there, and mean what the detectors take them for."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import warnings
from typing import Any

import pytest

from pytest_uno.leaks.asyncio_internals import (
    callback_of,
    context_of,
    forget_exception,
    forget_pending,
    has_open_transport,
    open_connections,
    shorten_traceback,
    task_context,
    warning_sink,
)


def test_a_handle_knows_its_callback_and_context() -> None:
    loop = asyncio.new_event_loop()
    context = contextvars.copy_context()
    for handle in (
        loop.call_soon(print, context=context),
        loop.call_later(9, print, context=context),
    ):
        assert callback_of(handle) is print
        assert context_of(handle) is context
    assert callback_of(None) is None
    assert context_of(None) is None
    loop.close()


def test_a_task_knows_its_context() -> None:
    async def main() -> None:
        context = contextvars.copy_context()
        task = asyncio.create_task(asyncio.sleep(0), context=context)
        assert task_context(task) is (context if sys.version_info >= (3, 12) else None)
        await task

    asyncio.run(main())


def test_a_forgotten_task_does_not_complain() -> None:
    loop = asyncio.new_event_loop()
    complaints: list[Any] = []
    loop.set_exception_handler(lambda loop, context: complaints.append(context))
    task = loop.create_task(asyncio.sleep(9))
    loop.run_until_complete(asyncio.sleep(0))
    forget_pending(task)
    failed = loop.create_future()
    failed.set_exception(RuntimeError())
    forget_exception(failed)
    cancelled = loop.create_future()
    cancelled.cancel()
    forget_exception(cancelled)
    loop.close()
    del task, failed, cancelled
    assert complaints == []


def test_the_sink_of_warnings_changes_where_they_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    before = warning_sink()
    assert warning_sink() is before
    with warnings.catch_warnings(record=True):
        assert warning_sink() is not before
    assert warning_sink() is before


def test_the_sink_of_context_aware_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    class Flags:
        context_aware_warnings = 1

    class Context:
        log: Any = None

    context = Context()
    monkeypatch.setattr("sys.flags", Flags)
    monkeypatch.setattr("warnings._get_context", lambda: context, raising=False)
    assert warning_sink() is warnings._showwarnmsg_impl  # type: ignore[attr-defined]
    context.log = []
    assert warning_sink() is context.log


def test_a_handle_keeps_its_place_in_debug_mode_only() -> None:
    loop = asyncio.new_event_loop()
    shorten_traceback(loop.call_soon(print))
    loop.set_debug(True)
    handle: Any = loop.call_soon(print)
    frames = list(handle._source_traceback)
    shorten_traceback(handle)
    assert list(handle._source_traceback) == frames[:-1]
    loop.close()


def test_a_loop_knows_whose_transports_are_open() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )
        assert has_open_transport(loop, protocol)
        assert not has_open_transport(loop, asyncio.DatagramProtocol())
        assert list(open_connections(loop)) == [transport]
        transport.close()
        assert open_connections(loop) == []
        assert not has_open_transport(loop, protocol)

    asyncio.run(main())
