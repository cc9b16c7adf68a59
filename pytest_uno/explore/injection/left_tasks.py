"""The oracle of tasks: none that the operation has started may outlive it."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_uno.clock.await_chain import waiting_frames
from pytest_uno.explore.injection.grace import nap_until, turn_until
from pytest_uno.explore.injection.oracles import Remains, Scene
from pytest_uno.explore.injection.own_tasks import AnyTask, OwnTasks
from pytest_uno.explore.injection.places import describe_place, is_of_library
from pytest_uno.leaks.asyncio_internals import coroutine_of
from pytest_uno.leaks.tasks.task_births import AUTOMATIC_NAME

__all__ = ["LeftTasks", "settle_library_tasks"]


class LeftTasks:
    """Looks for tasks of the operation that go on.

    Args:
        tasks: the operation's tasks.
    """

    is_late = False

    def __init__(self, tasks: OwnTasks) -> None:
        self._tasks = tasks

    @classmethod
    async def begin(cls, scene: Scene) -> LeftTasks:
        """Begin.

        Args:
            scene: the run.
        """
        return cls(scene.tasks)

    async def look(self) -> Sequence[Remains]:
        """Return the tasks that go on after a moment's grace."""
        await turn_until(lambda: not self._tasks.left())
        if any(task.cancelling() for task in self._tasks.left()):
            await nap_until(lambda: not any(task.cancelling() for task in self._tasks.left()))
        return [Remains(_describe(task)) for task in self._tasks.left()]

    def dispose(self) -> None:
        """Do nothing: the run cancels its tasks itself."""


async def settle_library_tasks(tasks: OwnTasks) -> None:
    """Wait in real time for tasks that a library has started: SQLAlchemy closes a connection in one.

    Args:
        tasks: the operation's tasks.
    """
    if tasks.left():
        await nap_until(lambda: not any(map(_is_of_library, tasks.left())))


def _is_of_library(task: AnyTask) -> bool:
    code = getattr(coroutine_of(task), "cr_code", None)
    return code is not None and is_of_library(code)


def _describe(task: AnyTask) -> str:
    name = task.get_name()
    coroutine: str = getattr(coroutine_of(task), "__qualname__", "a task")
    what = f"{coroutine}()" if AUTOMATIC_NAME.fullmatch(name) else f"{name!r}, {coroutine}()"
    lines = [(code, line) for code, line in waiting_frames(task) if not is_of_library(code)]
    return f"a task that goes on: {what}{describe_place(lines)}"
