"""Who awaits a task."""

from __future__ import annotations

import asyncio
from typing import Any

from pytest_uno.clock.await_graph import awaiters
from tests.clock.started_tasks import forever, started


def test_awaiters_by_every_way_to_await() -> None:
    async def main() -> None:
        names = ["await", "gather", "nested", "shield", "wait", "wait_for", "as_completed"]
        child = {name: asyncio.create_task(forever(), name=name) for name in names}

        async def plain() -> None:
            await child["await"]

        async def gather() -> None:
            await asyncio.gather(child["gather"], asyncio.gather(child["nested"]))

        async def shield() -> None:
            await asyncio.shield(child["shield"])

        async def wait() -> None:
            await asyncio.wait([child["wait"]])

        async def wait_for() -> None:
            await asyncio.wait_for(child["wait_for"], 1000)

        async def as_completed() -> None:
            for following in asyncio.as_completed([child["as_completed"]]):
                await following

        async def group() -> None:
            async with asyncio.TaskGroup() as tasks:
                child["child"] = tasks.create_task(forever(), name="child")
                child["lonely"] = asyncio.create_task(forever(), name="lonely")
                await forever()

        async with started(
            of_await=plain(),
            of_gather=gather(),
            of_shield=shield(),
            of_wait=wait(),
            of_wait_for=wait_for(),
            of_as_completed=as_completed(),
            of_child=group(),
        ):
            found = {task.get_name(): by.get_name() for task, by in awaiters(child.values()).items()}
        for task in child.values():
            task.cancel()
        await asyncio.gather(*child.values(), return_exceptions=True)
        assert found == {name: f"of_{name}" for name in [*names, "child"] if name != "nested"} | {
            "nested": "of_gather"
        }

    asyncio.run(main())


def test_callbacks_of_the_user_make_no_awaiter() -> None:
    async def main() -> None:
        async with started(one=forever(), other=forever()) as tasks:
            one, other = tasks["one"], tasks["other"]
            bystander = asyncio.get_running_loop().create_future()

            def end(_: object) -> None:
                bystander.cancel()

            async def waits_for_bystander() -> None:
                await bystander

            async with started(third=waits_for_bystander()):
                one.add_done_callback(other.cancel)
                one.add_done_callback(end)
                assert awaiters([one]) == {}
                one.remove_done_callback(other.cancel)
                one.remove_done_callback(end)

    asyncio.run(main())


def test_awaiters_of_foreign_tasks() -> None:
    class Foreign:
        @property
        def _callbacks(self) -> list[object]:
            raise RuntimeError("changed meanwhile")

    foreign: Any = Foreign()
    assert awaiters([foreign]) == {}
