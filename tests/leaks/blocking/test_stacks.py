"""Looks at a thread from another one."""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_uno.explore import explore
from pytest_uno.explore.asyncio_internals import outside_running_loop
from pytest_uno.leaks.blocking.stacks import Line, Look, find_common_lines, look_at

Lookers = Callable[[], "Look | None"]


@pytest.fixture
def look() -> Iterator[Lookers]:
    """Look at the thread of the test, from another one."""
    mine = threading.get_ident()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()  # or the look would find us at the start of the thread
        yield lambda: pool.submit(look_at, mine, lambda file: file == __file__).result()


def names_of(seen: Look | None) -> list[str]:
    assert seen is not None
    return [code.co_name for code, _ in seen.lines]


def test_a_task_is_seen_with_the_users_lines(
    look: Lookers, line_of: Callable[[Callable[..., object], str], int]
) -> None:
    def inner() -> Look | None:
        return look()  # HERE

    async def outer() -> Look | None:
        return inner()

    seen = asyncio.run(outer())
    assert seen is not None
    assert seen.counts
    assert names_of(seen)[-2:] == ["inner", "outer"]
    assert (inner.__code__, line_of(inner, "HERE")) in seen.lines


def test_two_looks_at_one_callback_see_the_same_handle(look: Lookers) -> None:
    async def main() -> list[types.FrameType]:
        seen = [look(), look()]
        await asyncio.sleep(0)
        return [each.handle for each in (*seen, look()) if each is not None]

    first, second, later = asyncio.run(main())
    assert first is second
    assert later is not first


def test_a_plain_callback_is_seen(look: Lookers) -> None:
    seen: list[Look | None] = []
    loop = asyncio.new_event_loop()

    def callback() -> None:
        seen.append(look())
        loop.stop()

    loop.call_soon(callback)
    loop.run_forever()
    loop.close()
    assert "callback" in names_of(seen[0])


def test_who_runs_no_callback_is_not_seen(look: Lookers) -> None:
    assert look() is None


def test_a_loop_that_waits_is_not_seen() -> None:
    loop = asyncio.new_event_loop()
    waits, seen = threading.Event(), []
    selector: Any = vars(loop)["_selector"]

    def select(timeout: float | None = None) -> Any:
        waits.set()
        return type(selector).select(selector, timeout)

    def watch(thread: int) -> None:
        waits.wait(10)
        seen.append(look_at(thread, lambda file: True))
        loop.call_soon_threadsafe(loop.stop)

    selector.select = select
    watcher = threading.Thread(target=watch, args=(threading.get_ident(),))
    watcher.start()
    loop.run_forever()
    watcher.join()
    loop.close()
    assert seen == [None]


def test_a_search_through_schedules_is_excused(look: Lookers) -> None:
    seen: list[Look | None] = []

    async def scenario() -> None: ...

    async def main() -> None:
        with outside_running_loop():
            explore(scenario, progress=lambda progress: seen.append(look()))

    asyncio.run(main())
    assert [each is not None and each.counts for each in seen] == [False]


def test_a_thread_that_is_gone_is_not_seen() -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    assert look_at(-1, lambda file: True) is None


def test_a_callback_without_code_of_the_user_does_not_count() -> None:
    mine = threading.get_ident()

    async def main(pool: concurrent.futures.Executor) -> Look | None:
        return pool.submit(look_at, mine, lambda file: False).result()

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        seen = asyncio.run(main(pool))
    assert seen is not None
    assert not seen.counts
    assert seen.lines == ()


def test_an_import_does_not_count(look: Lookers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_to_import.py").write_text("import sys\nSEEN = sys.modules['looker'].look()\n")
    monkeypatch.syspath_prepend(tmp_path)
    looker: Any = types.ModuleType("looker")
    looker.look = look
    monkeypatch.setitem(sys.modules, "looker", looker)

    async def main() -> Any:
        return importlib.import_module("slow_to_import").SEEN

    try:
        seen = asyncio.run(main())
    finally:
        sys.modules.pop("slow_to_import", None)
    assert names_of(seen)[-1] == "main"
    assert not seen.counts


@pytest.mark.parametrize(
    ("module", "function", "counts"),
    [
        ("bdb", "trace_dispatch", False),
        ("_pydevd_bundle.pydevd_frame", "do_wait_suspend", False),
        ("threading", "start", False),
        ("threading", "wait", True),
        ("subprocess", "_execute_child", False),
        ("subprocess", "wait", True),
        ("pdbx", "start", True),
        (None, "anything", True),
    ],
)
def test_debuggers_and_the_start_of_threads_and_processes_do_not_count(
    look: Lookers, module: str | None, function: str, counts: bool
) -> None:
    names: dict[str, Any] = {"look": look, "__name__": module}
    exec(f"def {function}(): return look()", names)

    async def main() -> Any:
        return names[function]()

    seen = asyncio.run(main())
    assert seen.counts is counts


def lines(*numbers: int, code: types.CodeType | None = None) -> tuple[Line, ...]:
    """Lines of different functions, the innermost first."""
    codes = [compile("pass", f"file{level}", "exec") for level in range(len(numbers))]
    return tuple((code or each, number) for each, number in zip(codes[::-1], numbers, strict=True))


def test_what_all_looks_saw_is_kept() -> None:
    assert find_common_lines([lines(5, 3, 1)]) == lines(5, 3, 1)
    assert find_common_lines([lines(5, 3, 1), lines(5, 3, 1)]) == lines(5, 3, 1)


def test_a_computation_is_named_by_its_call() -> None:
    assert [line for _, line in find_common_lines([lines(5, 3, 1), lines(6, 3, 1)])] == [3, 1]


def test_a_look_into_a_call_and_one_before_it_agree_on_the_caller() -> None:
    outer = lines(1)
    inner = (*lines(9, 8)[:1], *outer)
    assert find_common_lines([inner, outer]) == outer


def test_a_computation_of_the_outermost_function_is_named_by_its_first_line() -> None:
    code = test_a_computation_is_named_by_its_call.__code__
    found = find_common_lines([lines(50, code=code), lines(51, code=code)])
    assert found == ((code, code.co_firstlineno),)
