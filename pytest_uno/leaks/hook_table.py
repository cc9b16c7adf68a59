"""Process-wide hooks: each with its reason, put in and taken out together.

They go in with the first test that is judged and come out after the last, in reverse order. Where somebody
else has put a hook over ours meanwhile, theirs stays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Hook", "HookTable", "replace_attribute"]


class Hook(NamedTuple):
    """One process-wide hook.

    Attributes:
        what: what is replaced.
        reason: why.
        install: puts it in and returns what takes it out.
    """

    what: str
    reason: str
    install: Callable[[], Callable[[], None]]


class HookTable:
    """The hooks of one detection.

    Args:
        hooks: the hooks, in the order they go in.
    """

    def __init__(self, hooks: tuple[Hook, ...]) -> None:
        self.hooks = hooks
        self._removals: list[Callable[[], None]] = []

    @property
    def installed(self) -> bool:
        """Whether the hooks are in."""
        return bool(self._removals)

    def install(self) -> None:
        """Put the hooks in, unless they are in."""
        if not self._removals:
            self._removals = [hook.install() for hook in self.hooks]

    def remove(self) -> None:
        """Take the hooks out, if they are in."""
        while self._removals:
            self._removals.pop()()


def replace_attribute(owner: object, name: str, wrap: Callable[[Any], Any], *, reason: str) -> Hook:
    """Return a hook that replaces an attribute of a class or module.

    Args:
        owner: the class or module.
        name: the attribute; one that a class only inherits is set on the class, and removed again.
        wrap: takes the present value and returns the one that takes its place.
        reason: why.
    """
    what = f"{getattr(owner, '__qualname__', None) or getattr(owner, '__name__', '')}.{name}"

    def install() -> Callable[[], None]:
        is_own = name in vars(owner)
        before = vars(owner)[name] if is_own else getattr(owner, name, None)
        ours = wrap(before)
        setattr(owner, name, ours)

        def restore() -> None:
            if vars(owner).get(name) is not ours:
                return
            if is_own:
                setattr(owner, name, before)
            else:
                delattr(owner, name)

        return restore

    return Hook(what, reason, install)
