"""The oracle of SQLAlchemy's engines: no connection is lost, and the pool still works.

SQLAlchemy is not imported: without its modules there is no engine. Nothing here sends a statement through an engine,
whose listeners, as a count of queries, would see it.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_uno.explore.injection.grace import nap_until
from pytest_uno.explore.injection.oracles import Remains, Scene
from pytest_uno.explore.injection.world import roots_of, walk

__all__ = ["Pools"]


@dataclass(slots=True)
class _Watched:
    path: str
    engine: Any
    pool: Any
    before: int
    opened: _Opened | None


class _Opened:
    """The open connections of a pool that keeps none, and so does not count them."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.count = 0
        self._event: Any = sys.modules["sqlalchemy"].event
        listeners: dict[str, Callable[..., None]] = {
            "connect": self._connected,
            "close": self._closed,
            "close_detached": self._closed,
        }
        self._listeners = listeners
        for name, called in self._listeners.items():
            self._event.listen(pool, name, called)

    def stop(self) -> None:
        for name, called in self._listeners.items():
            self._event.remove(self.pool, name, called)

    def _connected(self, *_: object) -> None:
        self.count += 1

    def _closed(self, *_: object) -> None:
        self.count -= 1


class Pools:
    """Looks for connections that the operation has not given back.

    Args:
        scene: the run.
    """

    is_late = False

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._watched = [_watch(path, engine) for path, engine in _engines_of(scene)]
        self._has_lost = False

    @classmethod
    async def begin(cls, scene: Scene) -> Pools:
        """Begin.

        Args:
            scene: the run.
        """
        return cls(scene)

    async def look(self) -> Sequence[Remains]:
        """Return the connections that are out, and the pools that hand out none any more."""
        known = {id(watched.engine) for watched in self._watched}
        self._watched += [
            _watch(path, engine, is_new=True)
            for path, engine in _engines_of(self._scene)
            if id(engine) not in known
        ]
        if not self._watched:
            return []
        held = _held_by_world(self._scene)
        remains: list[Remains] = []
        for watched in self._watched:
            allowed = max(watched.before, held)
            if not await nap_until(lambda watched=watched, allowed=allowed: _out(watched) <= allowed):  # type: ignore[misc]
                self._has_lost = True
                lost = _out(watched) - allowed
                connections = "a connection" if lost == 1 else f"{lost} connections"
                where = "is still open" if watched.opened else "is not back in the pool"
                remains.append(
                    Remains(
                        f"{connections} of {watched.path} {_agree(where, lost)} ({watched.engine.url.drivername})"
                    )
                )
            elif not allowed and (problem := await _try(watched)):
                remains.append(Remains(f"the pool of {watched.path} no longer works: {problem}"))
        for watched in self._watched:
            if watched.opened is not None:
                watched.opened.stop()
        return remains

    def dispose(self) -> None:
        """Let lost connections go now, and without the warnings of it: they are reported."""
        if self._has_lost:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                gc.collect()


def _agree(words: str, count: int) -> str:
    return words if count == 1 else words.replace("is ", "are ", 1)


def _engines_of(scene: Scene) -> list[tuple[str, Any]]:
    kinds = _loaded("sqlalchemy.ext.asyncio.engine", "AsyncEngine")
    if not kinds:
        return []
    return [
        (path, thing)
        for path, thing in walk(roots_of(scene.world, scene.functions))
        if isinstance(thing, kinds)
    ]


def _held_by_world(scene: Scene) -> int:
    """Count what the world's own sessions and connections may hold: to end those is not the operation's business."""
    sessions = _loaded("sqlalchemy.ext.asyncio.session", "AsyncSession")
    connections = _loaded("sqlalchemy.ext.asyncio.engine", "AsyncConnection")
    things: list[Any] = [thing for _, thing in walk(roots_of(scene.world, scene.functions))]
    in_use = [thing for thing in things if isinstance(thing, sessions) and thing.in_transaction()]
    return len(in_use) + sum(isinstance(thing, connections) and not thing.closed for thing in things)


def _loaded(module: str, *names: str) -> tuple[type[Any], ...]:
    loaded = sys.modules.get(module)
    return tuple(kind for name in names if (kind := getattr(loaded, name, None)) is not None)


def _watch(path: str, engine: Any, *, is_new: bool = False) -> _Watched:
    pool = engine.pool
    opened = _Opened(pool) if type(pool).__name__ == "NullPool" and not is_new else None
    watched = _Watched(path, engine, pool, 0, opened)
    watched.before = 0 if is_new else _out(watched)
    return watched


def _out(watched: _Watched) -> int:
    if watched.opened is not None:
        return watched.opened.count
    count: Callable[[], int] | None = getattr(watched.pool, "checkedout", None)
    return 0 if count is None else count()


async def _try(watched: _Watched) -> str | None:
    """Take a connection out of a pool that has some, and return what is wrong with it."""
    checked_in = getattr(watched.pool, "checkedin", None)
    if watched.engine.pool is not watched.pool or not callable(checked_in) or not checked_in():
        return None  # disposed of, or never used: a connection would be one that nobody closes
    try:
        async with contextlib.AsyncExitStack() as stack:
            connection = await stack.enter_async_context(watched.engine.connect())
            await connection.run_sync(_ping)
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}".partition("\n")[0]
    return None


def _ping(connection: Any) -> None:
    connection.dialect.do_ping(connection.connection.dbapi_connection)
