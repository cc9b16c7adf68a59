"""Where each task was made, and whose it is.

asyncio knows the tasks of a loop; what it does not know is who made them, and where. So each watched loop
gets a `create_task` of its own, as an attribute of the instance: every way to make a task ends there
(`asyncio.create_task`, `TaskGroup`, `gather`, `ensure_future`), no class is touched, other loops are not
affected, and whatever task factory the user has set goes on working below it.

Nothing here may ask a loop for its `__dict__`, as `vars` does: an object of which CPython has once made the dictionary
is slower in everything it does from then on (a loop by 15 % on 3.12).

Where asyncio's own `create_task` would make the task, ours makes it, of a class that has a slot for its birth: to
call asyncio's as well, and to give the task a dictionary, costs as much again. Everything else goes the longer way.
"""

from __future__ import annotations

import asyncio
import functools
import re
import sys
import weakref
from collections.abc import Callable, Coroutine
from types import CodeType
from typing import Any, TypeAlias

from pytest_uno.leaks.asyncio_internals import coroutine_of, shorten_traceback, task_context
from pytest_uno.leaks.model import Frame
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.sites import USER, Site, Sites
from pytest_uno.leaks.tasks.task_internals import is_method_of_class, makes_tasks_itself
from pytest_uno.leaks.tasks.watched_tasks import CancellationObserver, WatchedTask, make_task_class

__all__ = ["AUTOMATIC_NAME", "AnyTask", "TaskBirths", "TaskWatch"]

AnyTask: TypeAlias = asyncio.Task[Any]

_BIRTH = "_pytest_uno_birth"
"""The attribute of a task that holds its owner and site: a task of C has a dictionary for such things."""

_COMPACT_AT = 4096
"""Length at which a list of weak references is rid of the dead ones: a test may make millions of tasks."""


AUTOMATIC_NAME = re.compile(r"Task-(\d+)|None")
"""Names that asyncio makes up: they count all tasks of the process, so they differ from run to run. 3.13.0
names a task "None" that starts eagerly."""

Birth: TypeAlias = "tuple[Owner | None, Site] | tuple[Owner | None, Site, object]"
"""What is recorded when a task is made; a plain tuple, since a named one takes 0.2 microseconds to make. A
task that is done at once, by an eager start, has let go of its coroutine: that is the third item."""

Line: TypeAlias = "tuple[Owner | None, CodeType, int]"
"""The birth of most tasks, flat: made by a coroutine that a task runs, so that the user has one frame on the stack."""

_EAGER_FACTORY = getattr(asyncio, "eager_task_factory", None)
_MORE_ARGUMENTS = sys.version_info >= (3, 14)
"""Whether `create_task` hands on whatever else a task takes, as `eager_start`."""

_MAKERS = frozenset({"asyncio.tasks", "asyncio.taskgroups"})
_BOTTOM = "asyncio.events"
"""The modules of what makes tasks for the user, and of `Handle._run`, which runs each step of a task."""

_getframe = sys._getframe  # pyright: ignore[reportPrivateUsage]  (documented, if only for CPython)


def _module_of_frame(depth: int = 0) -> str | None:
    return _getframe(depth + 1).f_globals.get("__name__")  # pragma: no cover - 3.11 only


_module_of: Callable[[int], str | None] = getattr(
    sys, "_getframemodulename", _module_of_frame
)  # 3.12 and newer


class TaskWatch:
    """The `create_task` of one watched loop, and weak references to the tasks it has made.

    Args:
        loop: the loop.
        sites: records the sites.
        births: holds the births of tasks that take no attributes.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, sites: Sites, births: TaskBirths) -> None:
        self.tasks: list[weakref.ref[AnyTask]] = []
        self._loop = loop
        before = loop.create_task
        self._previous = None if is_method_of_class(loop, "create_task") else before
        installed = self._wrap(before, sites, births)
        if makes_tasks_itself(loop):
            installed = self._replace(installed, sites, births)
        self._installed: Callable[..., AnyTask] | None = installed
        loop.create_task = installed  # type: ignore[method-assign]

    def remove(self) -> None:
        """Give the loop its own `create_task` back, unless somebody has put another one over ours."""
        if self._installed is None or self._loop.create_task is not self._installed:
            return
        self._installed = None  # a cycle, which would keep the loop of every test for a while
        if self._previous is None:
            del self._loop.create_task
        else:
            self._loop.create_task = self._previous  # type: ignore[method-assign]

    def compact(self) -> int:
        """Forget the tasks that are gone.

        Returns:
            The length of the list at which it is worth to do so again.
        """
        self.tasks[:] = [ref for ref in self.tasks if ref() is not None]
        return max(_COMPACT_AT, 2 * len(self.tasks))

    def _wrap(
        self, create_task: Callable[..., AnyTask], sites: Sites, births: TaskBirths
    ) -> Callable[..., AnyTask]:
        # Everything that is needed often is a local here: this runs for every task of the application.
        capture, owner_of, tasks = sites.capture, OWNER.get, self.tasks
        ref: Callable[[AnyTask], weakref.ref[AnyTask]] = weakref.ref
        capture_parent, loop, limit = births.parent_site, self._loop, _COMPACT_AT

        def create_task_and_remember(coro: Coroutine[Any, Any, Any], **kwargs: Any) -> AnyTask:
            nonlocal limit
            task = create_task(coro, **kwargs)
            context = kwargs.get("context")
            owner = owner_of() if context is None else context.get(OWNER)
            if owner is None:  # an empty context, or a thread's: they know of no test
                owner = births.current
            site = capture() or capture_parent(loop)
            birth: Birth = (owner, site, coro) if task.done() else (owner, site)
            try:
                task._pytest_uno_birth = birth  # type: ignore[attr-defined]
            except AttributeError:
                births.remember(task, birth)
            tasks.append(ref(task))
            if len(tasks) > limit:
                limit = self.compact()
            return task

        return create_task_and_remember

    def _replace(
        self, create_task: Callable[..., AnyTask], sites: Sites, births: TaskBirths
    ) -> Callable[..., AnyTask]:
        make_task, owner_of, tasks, limit = births.task_class(), OWNER.get, self.tasks, _COMPACT_AT
        ref: Callable[[AnyTask], weakref.ref[AnyTask]] = weakref.ref
        kinds, capture, capture_parent = sites.kinds, sites.capture, births.parent_site
        loop: Any = self._loop
        module_of = _module_of
        create_with_more = self._wrap(functools.partial(make_task, loop=loop), sites, births)

        def create_otherwise(
            factory: object,
            coro: Coroutine[Any, Any, Any],
            name: object,
            context: object,
            more: dict[str, Any],
        ) -> AnyTask:
            given = {"name": name, "context": context}
            more.update((key, value) for key, value in given.items() if value is not None)
            if loop._closed:
                return create_task(coro, **more)
            if factory is not None and factory is _EAGER_FACTORY:
                return create_with_more(coro, **{"eager_start": True, **more})
            return (create_with_more if factory is None and _MORE_ARGUMENTS else create_task)(coro, **more)

        def make_task_and_remember(
            coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Any = None, **more: Any
        ) -> AnyTask:
            nonlocal limit
            if (factory := loop._task_factory) is not None or more or loop._closed:
                return create_otherwise(factory, coro, name, context, more)
            task = make_task(coro, loop=loop, name=name, context=context)
            if loop._debug:
                shorten_traceback(task)
            owner = owner_of() if context is None else context.get(OWNER)
            if owner is None:  # an empty context, or a thread's: they know of no test
                owner = births.current
            # To make a frame object costs more than to ask for the name of its module.
            depth = 2 if module_of(1) in _MAKERS else 1
            frame = _getframe(depth)
            code = frame.f_code
            if module_of(depth + 1) == _BOTTOM and kinds.get(code.co_filename) == USER:
                task.pytest_uno_line = (owner, code, frame.f_lasti)
            else:
                while module_of(depth) in _MAKERS:
                    depth += 1
                site = capture(_getframe(depth)) or capture_parent(loop)
                task._pytest_uno_birth = (owner, site)  # type: ignore[attr-defined]
            tasks.append(ref(task))
            if len(tasks) > limit:
                limit = self.compact()
            return task

        return make_task_and_remember


class TaskBirths:
    """Where tasks were made, and whose they are.

    Args:
        sites: records and resolves the sites.

    Attributes:
        current: the test that runs; what is made in nobody's name is its.
        cancellation_observer: is told of the cancellations of the tasks of loops that are watched from then on.
    """

    def __init__(self, sites: Sites) -> None:
        self.current: Owner | None = None
        self.cancellation_observer: CancellationObserver | None = None
        self._task_class: type[WatchedTask] | None = None
        self._sites = sites
        self._elsewhere: weakref.WeakKeyDictionary[AnyTask, Birth] = weakref.WeakKeyDictionary()

    def task_class(self) -> type[WatchedTask]:
        """Return the class of the tasks that are made here."""
        if self._task_class is None:
            observer = self.cancellation_observer
            self._task_class = WatchedTask if observer is None else make_task_class(observer)
        return self._task_class

    def remember(self, task: AnyTask, birth: Birth) -> None:
        """Note the birth of a task that takes no attribute.

        Args:
            task: the task.
            birth: its birth.
        """
        self._elsewhere[task] = birth

    def parent_site(self, loop: asyncio.AbstractEventLoop) -> Site:
        """Return the site of the task that runs now, or else the library's own frame.

        For a task that library code makes without any of the user's frames on the stack.

        Args:
            loop: the loop.
        """
        parent = asyncio.current_task(loop)
        birth = None if parent is None else self._birth(parent)
        return birth[1] if birth is not None else self._sites.capture_library()

    def owner(self, task: AnyTask) -> Owner | None:
        """Return the owner of a task; None if it is unknown.

        Args:
            task: the task.
        """
        birth = self._birth(task)
        if birth is not None:
            return birth[0]
        context = task_context(task)  # a task that was made without the loop's help, as aiohttp's server does
        return None if context is None else context.get(OWNER)

    def is_users(self, task: AnyTask) -> bool:
        """Say whether the user's code made a task, be it through a library; not so for the handlers of a server.

        Args:
            task: the task.
        """
        birth = self._birth(task)
        return birth is not None and bool(birth[1]) and self._sites.is_user(birth[1][0].co_filename)

    def adopt(self, task: AnyTask, owner: Owner) -> None:
        """Give a task another owner.

        Args:
            task: the task.
            owner: its owner from now on.
        """
        birth = self._birth(task)
        site: Site = [] if birth is None else birth[1]
        changed: Birth = (owner, site, self.coroutine(task)) if task.done() else (owner, site)
        try:
            setattr(task, _BIRTH, changed)
        except AttributeError:
            self.remember(task, changed)

    def coroutine(self, task: AnyTask) -> object:
        """Return what a task runs or has run; None if it has let go of it.

        Args:
            task: the task.
        """
        birth = self._birth(task)
        return birth[2] if birth is not None and len(birth) == 3 else coroutine_of(task)

    def target(self, task: AnyTask) -> str:
        """Return the qualified name of what a task runs.

        Args:
            task: the task.
        """
        coroutine = self.coroutine(task)
        return getattr(coroutine, "__qualname__", None) or type(coroutine).__qualname__

    def describe(self, task: AnyTask) -> str:
        """Say which task it is, as in "task 'poller' running poll()".

        Args:
            task: the task.
        """
        name = task.get_name()
        shown = "task" if AUTOMATIC_NAME.fullmatch(name) else f"task {name!r}"
        return f"{shown} running {self.target(task)}()"

    def created(self, task: AnyTask) -> tuple[Frame, ...]:
        """Say where a task was made, as well as it is known.

        Args:
            task: the task.
        """
        birth = self._birth(task)
        site: Site = [] if birth is None else birth[1]
        frames = self._sites.resolve(site)
        if site and self._sites.is_user(site[0].co_filename):
            return frames
        coroutine = self.coroutine(task)
        origin = getattr(coroutine, "cr_origin", None)
        if origin and self._sites.is_user(origin[0][0]):
            return tuple(self._sites.frame(*entry) for entry in origin)
        code = getattr(coroutine, "cr_code", None)
        if frames or code is None:
            return frames
        return self._sites.definition(code)

    def _birth(self, task: AnyTask) -> Birth | None:
        birth: Birth | None = getattr(task, _BIRTH, None)
        if birth is not None:
            return birth
        line: Line | None = getattr(task, "pytest_uno_line", None)
        if line is not None:
            owner, code, offset = line
            return owner, [code, offset]
        return self._elsewhere.get(task)
