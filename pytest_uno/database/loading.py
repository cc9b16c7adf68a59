"""Find what an option names as `module:attribute`."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pytest_uno.core.errors import SandboxError, compose_message

if TYPE_CHECKING:
    from sqlalchemy import MetaData
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["load", "load_engine", "load_function", "load_metadata"]


def load(spec: str, option: str) -> Any:
    """Return the object that an option names.

    Args:
        spec: `module:attribute`; the attribute may have dots.
        option: the option, for the message.

    Raises:
        SandboxError: there is no such module or attribute, or importing the module failed.
    """
    name, colon, path = spec.partition(":")
    if not colon or not name or not path:
        raise SandboxError(
            compose_message(
                f"{option} = {spec}: not of the form module:attribute",
                fix="name the module and what is in it, as app.db:engine",
                anchor="database-spec",
            )
        )
    found: Any = _import(name, spec, option)
    for step in path.split("."):
        try:
            found = getattr(found, step)
        except AttributeError as exc:
            raise SandboxError(
                compose_message(
                    f"{option} = {spec}: {_described(found)} has no attribute {step!r}",
                    fix=_suggest(step, dir(found)) + "name what the module defines at its top level",
                    anchor="database-spec",
                )
            ) from exc
    return found


def load_engine(spec: str, option: str = "uno_db_engine") -> AsyncEngine:
    """Return the engine that an option names, or that the function which it names makes.

    Args:
        spec: `module:attribute` of an `AsyncEngine`, or of a function without arguments that returns one.
        option: the option, for the message.

    Raises:
        SandboxError: it is not there, or something else.
        Exception: what the function raised.
    """
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    found = load(spec, option)
    if not isinstance(found, AsyncEngine) and callable(found):
        found = found()
    if isinstance(found, AsyncEngine):
        return found
    if inspect.iscoroutine(found):
        found.close()
    fix = "name the AsyncEngine that create_async_engine() returned, or a function that returns it"
    if isinstance(found, Engine):
        fix = "make it with create_async_engine() and an asyncio driver: only asyncio engines have a sandbox"
    raise SandboxError(
        compose_message(
            f"{option} = {spec}: {_described(found)} instead of an AsyncEngine",
            fix=fix,
            anchor="database-spec",
        )
    )


def load_metadata(spec: str, option: str = "uno_db_metadata") -> MetaData:
    """Return the metadata that an option names.

    Args:
        spec: `module:attribute` of a `MetaData`, or of a declarative base.
        option: the option, for the message.

    Raises:
        SandboxError: it is not there, or something else.
    """
    from sqlalchemy import MetaData

    found = load(spec, option)
    metadata = getattr(found, "metadata", found)
    if not isinstance(metadata, MetaData):
        raise SandboxError(
            compose_message(
                f"{option} = {spec}: {_described(found)} instead of a MetaData",
                fix="name the metadata of the tables, as app.db:Base.metadata",
                anchor="database-spec",
            )
        )
    return metadata


def load_function(spec: str, option: str) -> Callable[..., Any]:
    """Return the function that an option names.

    Args:
        spec: `module:function`.
        option: the option, for the message.

    Raises:
        SandboxError: it is not there, or nothing that can be called.
    """
    found: Callable[..., Any] | None = load(spec, option)
    if not callable(found):
        raise SandboxError(
            compose_message(
                f"{option} = {spec}: {_described(found)} cannot be called",
                fix="name a function, synchronous or not",
                anchor="database-spec",
            )
        )
    return found


def _import(name: str, spec: str, option: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        missing = exc.name or name
        if name != missing and not name.startswith(missing + "."):
            raise SandboxError(
                compose_message(
                    f"{option} = {spec}: importing {name} failed: {exc}",
                    fix=f"install what provides {missing}, or name another module",
                    anchor="database-spec",
                )
            ) from exc
        raise SandboxError(
            compose_message(
                f"{option} = {spec}: there is no module {missing!r}",
                cause="its folder is not on the import path",
                fix="check the spelling, or name the folder in pytest's option `pythonpath`",
                anchor="database-spec",
            )
        ) from exc
    except Exception as exc:
        raise SandboxError(
            compose_message(
                f"{option} = {spec}: importing {name} failed: {type(exc).__name__}: {exc}",
                fix=f"let `python -c 'import {name}'` work first",
                anchor="database-spec",
            )
        ) from exc


def _described(thing: object) -> str:
    return f"module {thing.__name__}" if inspect.ismodule(thing) else f"{type(thing).__name__} object"


def _suggest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}? " if close else ""
