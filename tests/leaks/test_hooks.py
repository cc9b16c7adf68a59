from __future__ import annotations

import gc
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

import pytest_uno
from pytest_uno.core.resource_observer import set_resource_observer
from pytest_uno.leaks.detection import LeakDetection
from pytest_uno.leaks.hook_table import replace_attribute
from pytest_uno.leaks.owners import Owner
from tests.leaks.examples import nothing


def state() -> tuple[Any, ...]:
    observer = set_resource_observer(None)
    set_resource_observer(observer)
    return (
        sys.get_coroutine_origin_tracking_depth(),
        warnings._warn_unawaited_coroutine,  # type: ignore[attr-defined]
        observer,
        gc.get_threshold(),
    )


def test_hooks_come_out_as_they_went_in() -> None:
    before = state()
    detection = LeakDetection(root=Path.cwd())
    detection.remove()
    detection.install()
    detection.install()
    detection._hooks.install()
    assert state() != before
    assert sys.get_coroutine_origin_tracking_depth() >= 1
    detection.snapshot(Owner("test", "test_x"))
    detection.remove()
    assert state() == before
    detection.remove()
    assert state() == before


def test_every_hook_has_its_reason() -> None:
    detection = LeakDetection(root=Path.cwd())
    for hook in detection._hooks.hooks:
        assert hook.what
        assert len(hook.reason) > 20


def test_a_greater_depth_of_the_user_stays() -> None:
    sys.set_coroutine_origin_tracking_depth(7)
    try:
        detection = LeakDetection(root=Path.cwd())
        detection.install()
        assert sys.get_coroutine_origin_tracking_depth() == 7
        detection.remove()
        assert sys.get_coroutine_origin_tracking_depth() == 7
    finally:
        sys.set_coroutine_origin_tracking_depth(0)


def test_hooks_that_were_put_over_ours_stay() -> None:
    before = state()
    detection = LeakDetection(root=Path.cwd())
    detection.install()

    def other(coro: object) -> None: ...

    warnings._warn_unawaited_coroutine = other  # type: ignore[attr-defined]
    sys.set_coroutine_origin_tracking_depth(9)
    observer: Any = object()
    set_resource_observer(observer)
    try:
        detection.remove()
        depth, warn, current, _ = state()
        assert (depth, warn, current) == (9, other, observer)
    finally:
        sys.set_coroutine_origin_tracking_depth(before[0])
        set_resource_observer(before[2])
        warnings._warn_unawaited_coroutine = before[1]  # type: ignore[attr-defined]


def test_an_attribute_that_somebody_has_replaced_after_us_stays() -> None:
    class Target:
        value = 1

    restore = replace_attribute(Target, "value", lambda before: before + 1, reason="").install()
    assert Target.value == 2
    Target.value = 7
    restore()
    assert Target.value == 7


def test_coroutines_of_nobody_are_warned_of_as_usual() -> None:
    async def work() -> None: ...

    detection = LeakDetection(root=Path.cwd())
    detection.install()
    try:
        with pytest.warns(RuntimeWarning, match="work' was never awaited"):
            work()  # type: ignore[unused-coroutine]
        assert detection.drain() == []
    finally:
        detection.remove()


def drop() -> None:
    nothing()  # type: ignore[unused-coroutine]


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_a_warning_of_nobodys_coroutine_is_the_interpreters_own(depth: int) -> None:
    def warn() -> warnings.WarningMessage:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            drop()
        return caught[0]

    before = sys.get_coroutine_origin_tracking_depth()
    sys.set_coroutine_origin_tracking_depth(depth)
    try:
        recorded = []
        detection = LeakDetection(root=Path.cwd())
        for is_installed in (False, True):  # on one line: the origin tells it
            if is_installed:
                detection.install()
            recorded.append(warn())
        detection.remove()
    finally:
        sys.set_coroutine_origin_tracking_depth(before)
    plain, ours = recorded
    assert str(ours.message) == str(plain.message)
    assert (ours.filename, ours.lineno, ours.category) == (plain.filename, plain.lineno, plain.category)
    assert ours.filename == __file__
    assert ours.source is not plain.source
    assert getattr(ours.source, "__qualname__", None) == "nothing"


def test_somebody_elses_hook_below_ours_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def theirs(coro: Any) -> None:
        seen.append(coro.__qualname__)

    monkeypatch.setattr(warnings, "_warn_unawaited_coroutine", theirs)
    detection = LeakDetection(root=Path.cwd())
    detection.install()
    try:
        drop()
        assert seen == ["nothing"]
    finally:
        detection.remove()


@pytest.mark.parametrize("when", ["between tests", "in a test"])
def test_a_coroutine_that_a_recorded_warning_holds_is_dropped_all_the_same(bench: Any, when: str) -> None:
    recorded: list[Any] = []

    def record() -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            drop()
        recorded.extend(caught)

    async def test() -> None:
        if when == "in a test":
            record()

    if when == "between tests":
        record()
    assert bench.run_test(test) == []
    assert len(recorded) == 1


def test_a_coroutine_of_the_harness_is_no_finding(bench: Any) -> None:
    harness = Path(pytest_uno.__file__).parent / "harness" / "runner.py"
    names: dict[str, Any] = {}
    source = "async def work(): ...\ndef keep(): return work()\ndef call(function): return function()"
    exec(compile(source, str(harness), "exec"), names)
    kept: list[Any] = []

    async def test() -> None:
        kept.append(names["work"]())  # its own coroutine, made by anybody
        kept.append(names["keep"]())
        kept.append(names["call"](nothing))  # anybody's coroutine, made by it

    assert bench.run_test(test) == []
    for coro in kept:
        coro.close()


def test_coroutines_of_mocks_are_warned_of_as_usual(bench: Any) -> None:
    from unittest.mock import AsyncMock

    async def test() -> None:
        AsyncMock()()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert bench.run_test(test) == []
    assert len(caught) == 1


@pytest.mark.parametrize(
    "file", ["/x/site-packages/pytest_asyncio/plugin.py", "/x/site-packages/anyio/pytest_plugin.py"]
)
def test_coroutines_of_test_plugins_are_warned_of_as_usual(bench: Any, file: str) -> None:
    names: dict[str, Any] = {}
    exec(compile("async def work(): ...\ndef drop(): work()", file, "exec"), names)

    async def test() -> None:
        names["drop"]()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert bench.run_test(test) == []
    assert len(caught) == 1


def test_a_coroutine_made_by_a_library_is_blamed_on_the_line_that_called_it(bench: Any) -> None:
    names: dict[str, Any] = {}
    exec(compile("async def work(): ...\ndef drop(): work()", "/x/site-packages/lib.py", "exec"), names)

    async def test() -> None:
        names["drop"]()

    (finding,) = bench.run_test(test)
    assert finding.created[0].function.endswith("test")
    assert finding.created[0].in_app


def test_a_coroutine_of_a_thread_is_blamed_by_its_definition(bench: Any) -> None:
    import asyncio
    import threading

    kept: list[Any] = []

    async def work() -> None: ...

    async def test() -> None:
        thread = threading.Thread(target=lambda: kept.append(work()))
        thread.start()
        thread.join()
        await asyncio.sleep(0)

    (finding,) = bench.run_test(test)
    assert finding.created[0].code == "async def work() -> None: ..."
    kept.clear()
    assert bench.detection.drain() == []


def test_of_two_detections_the_inner_one_decides(bench: Any) -> None:
    inner = LeakDetection(root=Path.cwd())
    inner.install()

    async def test() -> None:
        with pytest.warns(RuntimeWarning, match="nothing' was never awaited"):
            nothing()  # type: ignore[unused-coroutine]

    snapshot = inner.snapshot(owner := Owner("test", "inner"))
    bench.run_as(owner, test)
    owner.ended = True
    assert inner.compare(snapshot, bench.loop, loop_ends=True) == []
    inner.remove()
    assert bench.detection.drain() == []
