"""UNO408 executor: a pool of threads or processes that was used and not shut down.

A pool that is dropped ends its workers by itself, and one that was given no work has none. The default executor of a
loop is the loop's, which ends it.
"""

from __future__ import annotations

import functools
import gc
import sys
import weakref
from collections.abc import Callable
from concurrent.futures import Executor
from concurrent.futures.thread import ThreadPoolExecutor
from typing import Any

from pytest_uno.leaks.creations import Creation, Creations
from pytest_uno.leaks.hook_table import Hook, replace_attribute
from pytest_uno.leaks.judging import FurtherDetector, Judgement, Suspect
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.sites import Site, Sites
from pytest_uno.leaks.system.thread_origins import ThreadOrigins, is_made_by_import
from pytest_uno.leaks.tasks.task_births import TaskBirths

__all__ = ["Executors"]

_REASON = "a pool does not tell who made it, who gave it work, and whether it was shut down"

_LATE = {
    "concurrent.futures.process": ("ProcessPoolExecutor", ("submit", "shutdown")),
    "multiprocessing.pool": ("Pool", ("close", "terminate")),
}
"""Pools of modules that are not imported for us: the class, and what is patched beside its constructor."""

_ANYIO = "anyio._backends._asyncio"
"""Its workers take jobs by a method of the class `AsyncIOBackend`."""

_WRAPPED_JOBS = getattr(ThreadPoolExecutor, "prepare_context", None)
"""A class with one of its own (3.14) sends its jobs elsewhere, and they have to be pickled."""

_getframe = sys._getframe  # pyright: ignore[reportPrivateUsage]  (documented, if only for CPython)


class Executors(FurtherDetector):
    """The detector of UNO408.

    Args:
        sites: records and resolves the sites.
        births: knows the test that runs.
        origins: is told who gives work to which pool.
    """

    on_loops = False

    def __init__(self, sites: Sites, births: TaskBirths, origins: ThreadOrigins) -> None:
        self._sites = sites
        self._births = births
        self._origins = origins
        self._made: Creations[Any] = Creations(sites, lambda: births.current)
        self._used: weakref.WeakSet[Any] = weakref.WeakSet()
        self._of_loops: weakref.WeakSet[Any] = weakref.WeakSet()
        self._ended: weakref.WeakSet[Any] = weakref.WeakSet()
        self._late: dict[str, list[Callable[[], None]]] = {}

    def hooks(self) -> tuple[Hook, ...]:
        """Return the hooks of thread pools; those of other pools go in when their modules are there."""
        return _hooks_of(ThreadPoolExecutor, self._wraps("submit", "shutdown"))

    def snapshot(self, owner: Owner) -> None:
        """Patch the pools of modules that were imported meanwhile."""
        for name, (class_name, methods) in _LATE.items():
            if name not in self._late and name in sys.modules:
                owner_class = getattr(sys.modules[name], class_name, None)
                hooks = () if owner_class is None else _hooks_of(owner_class, self._wraps(*methods))
                self._late[name] = [hook.install() for hook in hooks]
        if _ANYIO not in self._late and _ANYIO in sys.modules:
            backend = getattr(sys.modules[_ANYIO], "AsyncIOBackend", None)
            self._late[_ANYIO] = []
            if "run_sync_in_worker_thread" in vars(backend or object):
                hook = replace_attribute(
                    backend, "run_sync_in_worker_thread", self._wrap_anyio, reason=_REASON
                )
                self._late[_ANYIO].append(hook.install())

    def clear(self) -> None:
        """Take out what was put in late, and let go of everything."""
        for removals in self._late.values():
            while removals:
                removals.pop()()
        self._late.clear()
        self._made.clear()

    def is_at_work(self, pool: object) -> bool:
        """Say whether the workers of a pool are explained by it: it was not shut down, or was reported.

        Args:
            pool: the executor.
        """
        return pool not in self._ended

    def is_of_loop(self, pool: object) -> bool:
        """Say whether an executor is a loop's own.

        Args:
            pool: the executor.
        """
        return pool in self._of_loops

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return the pools that were used and not shut down."""
        if not len(self._made) or not self._count(judgement):
            return []
        # One that is a part of garbage will be dropped, and ends then by itself: only the rest is left behind.
        gc.collect()
        return [
            self._suspect(pool, creation)
            for pool, creation in self._made.living()
            if self._is_suspect(pool, creation, judgement)
        ]

    def _count(self, judgement: Judgement) -> int:
        return sum(self._is_suspect(pool, creation, judgement) for pool, creation in self._made.living())

    def _is_suspect(self, pool: object, creation: Creation[Any], judgement: Judgement) -> bool:
        owner = creation.owner
        return (
            owner is not None
            and (owner.ended or owner is judgement.owner)
            and pool in self._used
            and id(pool) not in judgement.explained
            and pool is not getattr(judgement.loop, "_default_executor", None)
            and not is_made_by_import(creation.site)
        )

    def _wraps(self, *methods: str) -> dict[str, Callable[[Any], Any]]:
        wraps: dict[str, Callable[[Any], Any]] = {"__init__": self._wrap_init}
        for name in methods:
            wraps[name] = self._wrap_submit if name == "submit" else self._wrap_end
        if "submit" not in methods:
            wraps["__init__"] = functools.partial(self._wrap_init, is_used=True)
        return wraps

    def _wrap_init(self, init: Callable[..., None], *, is_used: bool = False) -> Callable[..., None]:
        owner_of, births, made = OWNER.get, self._births, self._made

        @functools.wraps(init)
        def init_and_remember(pool: Any, *args: Any, **kwargs: Any) -> None:
            init(pool, *args, **kwargs)
            if str(_getframe(1).f_globals.get("__name__")).startswith("asyncio."):
                self._of_loops.add(pool)
            elif owner_of() is not None or births.current is not None:
                site = self._origins.capture(self._sites)
                if site:  # without any of the user's frames it is a library's own affair
                    made.note(pool, site)
                    if is_used:
                        self._used.add(pool)

        return init_and_remember

    def _wrap_submit(self, submit: Callable[..., Any]) -> Callable[..., Any]:
        owner_of, births, origins, used = OWNER.get, self._births, self._origins, self._used

        @functools.wraps(submit)
        def submit_and_remember(pool: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            owner = owner_of() or births.current
            if owner is None:
                return submit(pool, fn, *args, **kwargs)
            used.add(pool)
            job = fn
            if isinstance(pool, ThreadPoolExecutor) and _runs_here(pool):
                job = functools.partial(_run_job, origins, owner, origins.capture(self._sites), fn)
            outer, origins.pool = origins.pool, pool
            try:
                return submit(pool, job, *args, **kwargs)
            finally:
                origins.pool = outer

        return submit_and_remember

    def _wrap_anyio(self, method: Any) -> Any:
        owner_of, births, origins = OWNER.get, self._births, self._origins
        run = method.__func__

        @functools.wraps(run)
        def run_and_remember(cls: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
            owner = owner_of() or births.current
            if owner is not None:
                func = functools.partial(_run_job, origins, owner, origins.capture(self._sites), func)
            return run(cls, func, *args, **kwargs)

        return classmethod(run_and_remember)

    def _wrap_end(self, end: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(end)
        def end_and_forget(pool: Any, *args: Any, **kwargs: Any) -> None:
            self._made.forget(pool)
            self._ended.add(pool)
            end(pool, *args, **kwargs)

        return end_and_forget

    def _suspect(self, pool: Any, creation: Creation[Any]) -> Suspect:
        kind = type(pool).__qualname__

        def describe(owner: OwnerInfo) -> Finding:
            return Finding(
                rule="UNO408",
                subject=f"{kind} was not shut down",
                target=kind,
                created=self._sites.resolve(creation.site),
                waiting_at=(),
                awaited_by=None,
                owner=owner,
            )

        def adopt(owner: Owner) -> None:
            creation.owner = owner

        def dispose() -> None:
            try:
                if isinstance(pool, Executor):
                    pool.shutdown(wait=False, cancel_futures=True)
                else:
                    pool.terminate()
            finally:
                self._made.forget(pool)
                self._ended.discard(pool)  # its workers are a part of what was reported

        return Suspect(pool, creation.owner, describe, adopt, dispose)


def _hooks_of(owner: type, wraps: dict[str, Callable[[Any], Any]]) -> tuple[Hook, ...]:
    return tuple(replace_attribute(owner, name, wrap, reason=_REASON) for name, wrap in wraps.items())


def _runs_here(pool: ThreadPoolExecutor) -> bool:
    return getattr(type(pool), "prepare_context", None) == _WRAPPED_JOBS or (
        getattr(getattr(type(pool), "prepare_context", None), "__func__", None)
        is getattr(_WRAPPED_JOBS, "__func__", None)
    )


def _run_job(origins: ThreadOrigins, owner: Owner, site: Site, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Run a job in the name of who handed it over: a worker goes from one owner's job to another's."""
    __tracebackhide__ = True
    outer, origins.site = origins.site, site
    token = OWNER.set(owner)
    try:
        return fn(*args, **kwargs)
    finally:
        OWNER.reset(token)
        origins.site = outer
