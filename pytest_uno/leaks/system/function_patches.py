"""What takes the place of a builtin function, as `open` or `os.pipe`, to see what it returns.

A plain function would not do: a class that keeps a builtin as an attribute (`_close = os.close`) calls it without
itself, and would pass itself to a function.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

__all__ = ["AfterCall", "BeforeCall"]


class _Patch:
    """Looks like the builtin, is called like it, pickled and copied by its name."""

    def __init__(self, original: Callable[..., Any], note: Callable[..., None], module: str) -> None:
        functools.update_wrapper(self, original)  # type: ignore[arg-type]
        self.__module__ = module  # where pickle finds it
        self._original = original
        self._note = note

    def __reduce__(self) -> str:
        name: str = vars(self)["__name__"]
        return name


class AfterCall(_Patch):
    """Calls the builtin, and then shows its result and its first argument to somebody, who must not raise.

    Args:
        original: the builtin.
        note: who is shown them; the frame that called is two frames out from its own.
        module: the module whose attribute is patched.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the builtin, then show what it has returned."""
        __tracebackhide__ = True
        result = self._original(*args, **kwargs)
        self._note(result, args[0] if args else None)
        return result


class BeforeCall(_Patch):
    """Shows the first argument to somebody, who must not raise, and then calls the builtin.

    Args:
        original: the builtin.
        note: who is shown it.
        module: the module whose attribute is patched.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Show the first argument, then call the builtin."""
        __tracebackhide__ = True
        if args:
            self._note(args[0])
        return self._original(*args, **kwargs)
