"""What AsyncManagers keep alive, and that those of two threads do not meet."""

from __future__ import annotations

import asyncio
import gc
import threading
import tracemalloc
import weakref

import pytest

from pytest_uno.core.async_manager import AsyncManager, get_async_manager
from tests.core.coroutines import hang, passes
from tests.core.jumping_loop import in_jumping_loop, run


def _count_bytes_kept(number: int, *, grouped: bool) -> int:
    async def main() -> int:
        manager = AsyncManager()
        async with manager.task_group(history=100) as group:
            create = group.create_task if grouped else manager.create_task
            tracemalloc.start()
            try:
                for _ in range(number // 100):
                    for _ in range(100):
                        create(asyncio.sleep(0))
                    await passes()
                gc.collect()
                kept, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        await manager.shutdown()
        return kept

    return run(main())


@pytest.mark.parametrize("grouped", [True, False])
def test_finished_tasks_take_no_memory(grouped: bool) -> None:
    # What the interpreter or a tracer allocates meanwhile counts, too, but not each time; what a task keeps does.
    kept = []
    for _ in range(3):
        few, many = (_count_bytes_kept(number, grouped=grouped) for number in (1000, 5000))
        kept.append((many - few) / 4000)
        if kept[-1] < 7:
            return
    pytest.fail(f"bytes kept for each task, in three attempts: {kept}")


@in_jumping_loop
async def test_a_manager_is_freed_after_its_shutdown() -> None:
    manager = AsyncManager()
    manager.add_shutdown_hook(passes)
    async with manager:
        manager.create_task(hang())
    reference = weakref.ref(manager)
    await passes()
    del manager
    gc.collect()
    assert reference() is None


def test_managers_of_two_threads_do_not_meet() -> None:
    found: list[AsyncManager] = []

    async def main() -> None:
        async with AsyncManager():
            found.append(get_async_manager())

    threads = [threading.Thread(target=lambda: run(main())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] is not found[1]
