"""Every process-wide hook of the detectors, in one table, each with its reason."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable
from typing import cast

from pytest_uno.core.resource_observer import ResourceObserver, set_resource_observer
from pytest_uno.leaks.hook_table import Hook, HookTable
from pytest_uno.leaks.loops.coroutines import AnyCoroutine, NeverAwaited

__all__ = ["hook_table"]

_ORIGIN_DEPTH = 1
"""Frames that the interpreter records for each coroutine. Depth 1 costs 0.15 to 0.2 microseconds an await,
depth 2 already 0.21 to 0.24, at the limit of what an await may cost (0.25); most coroutines that are
dropped go where they were made, and the stack of that moment tells the callers for nothing."""


def hook_table(
    never_awaited: NeverAwaited, observer: ResourceObserver, further: Iterable[Hook] = ()
) -> HookTable:
    """Return the table.

    Args:
        never_awaited: takes coroutines that go without having been awaited.
        observer: takes resources that open and close.
        further: the hooks that other detectors bring.
    """

    def track_origins() -> Callable[[], None]:
        before = sys.get_coroutine_origin_tracking_depth()
        never_awaited.users_depth = before
        depth = max(before, _ORIGIN_DEPTH)  # a greater depth is the user's wish
        sys.set_coroutine_origin_tracking_depth(depth)

        def restore() -> None:
            if sys.get_coroutine_origin_tracking_depth() == depth:
                sys.set_coroutine_origin_tracking_depth(before)

        return restore

    def replace_warning() -> Callable[[], None]:
        before = cast(
            "Callable[[AnyCoroutine], None]",
            warnings._warn_unawaited_coroutine,  # type: ignore[attr-defined]
        )
        ours = never_awaited.wrap_warning(before)
        warnings._warn_unawaited_coroutine = ours  # type: ignore[attr-defined]

        def restore() -> None:
            if warnings._warn_unawaited_coroutine is ours:  # type: ignore[attr-defined]
                warnings._warn_unawaited_coroutine = before  # type: ignore[attr-defined]

        return restore

    def observe_resources() -> Callable[[], None]:
        before = set_resource_observer(observer)

        def restore() -> None:
            current = set_resource_observer(before)
            if current is not observer:
                set_resource_observer(current)

        return restore

    return HookTable(
        (
            Hook(
                "sys.set_coroutine_origin_tracking_depth",
                "only the interpreter sees where a coroutine is made; per thread, so the main thread's",
                track_origins,
            ),
            Hook(
                "warnings._warn_unawaited_coroutine",
                "the interpreter calls it for each coroutine that goes; nothing public tells which one",
                replace_warning,
            ),
            Hook(
                "pytest_uno.core.resource_observer",
                "the core reports the resources that it opens and closes",
                observe_resources,
            ),
            *further,
        )
    )
