"""How the way to close a resource is found."""

from __future__ import annotations

import asyncio

import pytest

from pytest_uno.core.async_manager import AsyncManager
from pytest_uno.core.closers import find_closer
from tests.core.closeable import Closeable
from tests.core.jumping_loop import in_jumping_loop


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("methods", "called"),
    [
        (("stop", "dispose", "shutdown", "close", "aclose"), ["aclose"]),
        (("stop", "dispose", "shutdown", "close"), ["close"]),
        (("stop", "dispose", "shutdown"), ["shutdown"]),
        (("stop", "dispose"), ["dispose"]),
        (("stop",), ["stop"]),
        (("wait_closed", "close"), ["close", "wait_closed"]),
        (("wait_closed", "stop"), ["stop"]),
    ],
)
def test_closers_are_tried_in_order(methods: tuple[str, ...], called: list[str], asynchronous: bool) -> None:
    async def main() -> None:
        manager = AsyncManager()
        resource = await manager.register_resource(Closeable(*methods, asynchronous=asynchronous))
        await manager.shutdown()
        assert resource.called == called

    asyncio.run(main())


@in_jumping_loop
async def test_context_managers_are_left_without_an_error() -> None:
    left: list[tuple[object, ...]] = []

    class Async:
        async def __aexit__(self, *exc_info: object) -> None:
            left.append(exc_info)

    class Sync:
        def __exit__(self, *exc_info: object) -> None:
            left.append(exc_info)

    async with AsyncManager() as manager:
        await manager.register_resource(Async())
        await manager.register_resource(Sync())
    assert left == [(None, None, None)] * 2


def test_methods_that_cannot_be_called_are_no_closers() -> None:
    resource = Closeable("dispose")
    resource.close = True  # type: ignore[attr-defined]
    find_closer(resource)()
    assert resource.called == ["dispose"]


@in_jumping_loop
async def test_a_server_is_closed_to_its_end() -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    async with AsyncManager() as manager:
        await manager.register_resource(server)
    assert not server.is_serving()
