"""The target of a fault: where a function is found, and how it is replaced for one run."""

from __future__ import annotations

import contextlib
import difflib
import inspect
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from pytest_uno.core.errors import compose_message

__all__ = ["Target", "TargetSpec", "find_target", "name_of_target", "replaced", "require_target"]

TargetSpec: TypeAlias = "str | tuple[object, str] | Callable[[Any], tuple[object, str]]"
"""A dotted path from the world, an object and its attribute, or a function of the world that returns those."""

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Target:
    """A function that can be made to fail.

    Attributes:
        owner: the object, class or module that has it.
        name: the name of the attribute.
        function: the function, bound as the owner hands it out.
    """

    owner: Any
    name: str
    function: Callable[..., Any]


def require_target(spec: object, *, has_world: bool) -> None:
    """Refuse what can be no target.

    Args:
        spec: what the user passed.
        has_world: whether there is a world for a path to begin at.

    Raises:
        TypeError: it is none of the three kinds.
        ValueError: it is a path, and no path, or there is no world.
    """
    if isinstance(spec, str):
        if not all(part.isidentifier() for part in spec.split(".")):
            raise _refuse(
                f"target={spec!r} is no path of attributes", 'name them from the world on: "repo.commit"'
            )
        if not has_world:
            raise _refuse(
                f"target={spec!r}: there is no `setup`, and so no world for the path to begin at",
                "pass the object and the name of its attribute, as target=(repo, 'commit')",
            )
    elif not (callable(spec) or _is_pair(spec)):
        raise TypeError(
            compose_message(
                f"target={spec!r} is neither a path, nor a pair, nor a function",
                fix='pass "repo.commit", (repo, "commit"), or lambda world: (world.repo, "commit")',
                anchor="injection-arguments",
            )
        )


def name_of_target(spec: TargetSpec) -> str:
    """Return what a target is called in messages.

    Args:
        spec: what the user passed.
    """
    if isinstance(spec, str):
        return spec
    if callable(spec):
        return "the target"
    owner, name = spec
    return f"{_name_of(owner)}.{name}"


def find_target(spec: TargetSpec, world: Any) -> Target:
    """Find a target in a world.

    Args:
        spec: what the user passed.
        world: the world.

    Raises:
        TypeError: it is no function, or a function of the world has returned no pair.
        ValueError: there is no such attribute.
    """
    if isinstance(spec, str):
        *path, name = spec.split(".")
        owner = world
        for step, part in enumerate(path):
            owner = _attribute(owner, part, ".".join(["world", *path[:step]]))
        shown = ".".join(["world", *path])
    else:
        found: object = spec(world) if callable(spec) else spec
        if not _is_pair(found):
            raise TypeError(
                compose_message(
                    f"the function for `target` returned {found!r}",
                    fix='let it return the object and the name of its attribute: (world.repo, "commit")',
                    anchor="injection-arguments",
                )
            )
        owner, name = cast("tuple[Any, str]", found)
        shown = _name_of(owner)
    function = _attribute(owner, name, shown)
    if not callable(function):
        raise TypeError(
            compose_message(
                f"target: {shown}.{name} is {type(function).__name__}, and no function",
                fix="name the method that is called",
                anchor="injection-arguments",
            )
        )
    return Target(owner, name, function)


@contextlib.contextmanager
def replaced(target: Target, function: Callable[..., Any]) -> Generator[None]:
    """Replace a target in a block, and restore exactly what was there.

    Args:
        target: the target.
        function: stands in its place; takes what the bound function takes.

    Raises:
        TypeError: the owner takes no replacement.
    """
    owner, name = target.owner, target.name
    if isinstance(owner, dict):
        items = cast("dict[str, Any]", owner)
        items[name] = function
        try:
            yield
        finally:
            items[name] = target.function
        return
    attributes = _attributes_of(owner)
    before = attributes.get(name, _ABSENT)
    value: object = function
    if isinstance(owner, type) and isinstance(
        inspect.getattr_static(owner, name), staticmethod | classmethod
    ):
        value = staticmethod(function)  # a method of the class itself must not be bound to an instance
    try:
        setattr(owner, name, value)
    except (AttributeError, TypeError):  # slots, or an object that refuses
        with _replaced_in_class(target, function):
            yield
        return
    try:
        yield
    finally:
        if before is not _ABSENT:
            setattr(owner, name, before)
        elif isinstance(owner, type):
            delattr(owner, name)
        else:
            attributes.pop(name, None)  # a mock remembers what `delattr` takes from it as missing


@contextlib.contextmanager
def _replaced_in_class(target: Target, function: Callable[..., Any]) -> Generator[None]:
    owner, name = target.owner, target.name
    kind = _type_of(owner)
    original = inspect.getattr_static(kind, name, None)

    def dispatch(instance: object, *args: Any, **kwargs: Any) -> Any:
        if instance is owner:
            return function(*args, **kwargs)
        return original.__get__(instance, kind)(*args, **kwargs)

    before = vars(kind).get(name, _ABSENT)
    try:
        if original is None:
            raise TypeError("its class does not have it")
        setattr(kind, name, dispatch)
    except (AttributeError, TypeError) as exc:
        raise TypeError(
            compose_message(
                f"target: {_name_of(owner)}.{name} cannot be replaced ({exc})",
                fix="name a function of your own that calls it",
                anchor="injection-arguments",
            )
        ) from exc
    try:
        yield
    finally:
        if before is _ABSENT:
            delattr(kind, name)
        else:
            setattr(kind, name, before)


def _attribute(owner: Any, name: str, shown: str) -> Any:
    items = _items_of(owner)
    if name in items and not hasattr(items, name):
        return items[name]
    try:
        return getattr(owner, name)
    except AttributeError:
        names = list(items) or dir(owner)
        names = [each for each in names if not each.startswith("_")]
        near = difflib.get_close_matches(name, names, 1)
        raise _refuse(
            f"target: {shown} ({type(owner).__name__}) has no attribute {name!r}",
            f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names[:10]) or 'none'}",
        ) from None


def _attributes_of(owner: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", vars(owner)) if hasattr(owner, "__dict__") else {}


def _items_of(owner: object) -> dict[str, Any]:
    return cast("dict[str, Any]", owner) if isinstance(owner, dict) else {}


def _type_of(owner: object) -> type[Any]:
    return type(owner)


def _name_of(owner: object) -> str:
    return getattr(owner, "__name__", None) or type(owner).__name__


def _is_pair(value: object) -> bool:
    pair = cast("tuple[object, ...]", value) if isinstance(value, tuple) else ()
    return len(pair) == 2 and isinstance(pair[1], str)


def _refuse(what: str, fix: str) -> ValueError:
    return ValueError(compose_message(what, fix=fix, anchor="injection-arguments"))
