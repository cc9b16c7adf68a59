# ruff: noqa: SIM115  (left open on purpose)
from __future__ import annotations

import asyncio
import builtins
import copy
import gc
import gzip
import importlib
import inspect
import io
import logging
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import threading
import unittest.mock
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from pytest_uno.leaks.owners import Owner
from tests.leaks.examples import LineOf, Test, listed_in, listed_with, nothing, on_both_loops

LEAKY: list[Any] = []
CLEAN: list[Any] = []
KEPT: list[Any] = []
HERE = Path(__file__)

leaks = listed_with(LEAKY)
clean = listed_in(CLEAN)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    for thing in KEPT:
        if hasattr(thing, "close"):
            thing.close()
    KEPT.clear()


@leaks("file 'test_files.py' was not closed")
async def kept() -> None:
    KEPT.append(open(HERE))  # LEAK


@leaks("file 'test_files.py' was dropped before it was closed")
async def dropped() -> None:
    open(HERE).read()  # LEAK


@leaks("file 'test_files.py' was dropped before it was closed")
async def dropped_binary() -> None:
    io.open(HERE, "rb").read()  # noqa: UP020  # LEAK


@leaks("file 'test_files.py' was dropped before it was closed")
async def dropped_in_a_cycle_and_collected() -> None:
    file = open(HERE, "rb")  # LEAK
    cycle: list[Any] = [file]
    cycle.append(cycle)
    del file, cycle
    gc.collect()


@leaks("file 'test_files.py' was not closed")
async def dropped_in_a_cycle() -> None:
    cycle: list[Any] = [open(HERE)]  # LEAK
    cycle.append(cycle)


@leaks("file 'test_files.py' was not closed")
async def unbuffered() -> None:
    KEPT.append(open(HERE, "rb", buffering=0))  # LEAK


@leaks("file 'test_files.py' was not closed")
async def of_a_path() -> None:
    KEPT.append(pathlib.Path(HERE).open())  # LEAK


@leaks("file 'x.gz' was not closed")
async def of_gzip() -> None:
    KEPT.append(gzip.open("x.gz", "wb"))  # LEAK


@leaks("a temporary file was not closed")
async def of_tempfile() -> None:
    KEPT.append(tempfile.NamedTemporaryFile())  # LEAK


@leaks("file 'test.log' was not closed")
async def of_a_log_handler() -> None:
    KEPT.append(logging.FileHandler("test.log"))  # LEAK


@leaks("file 'test_files.py' was not closed")
async def of_an_executor() -> None:
    KEPT.append(await asyncio.get_running_loop().run_in_executor(None, open, HERE))  # LEAK


@leaks("file 'test_files.py' was not closed")
async def of_anyio() -> None:
    async with await anyio.open_file(HERE):
        pass
    file = await anyio.open_file(HERE)  # LEAK
    KEPT.append(file.wrapped)


@leaks("file 'test_files.py' was not closed")
async def in_a_worker() -> None:
    KEPT.append(await asyncio.to_thread(open, HERE))  # LEAK


@leaks("file 'test_files.py' was not closed")
async def in_a_helper_thread() -> None:
    def work() -> None:
        KEPT.append(open(HERE))  # LEAK

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@leaks("file of a pipe was not closed")
async def of_a_descriptor() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    KEPT.append(os.fdopen(reading, "rb"))  # LEAK


@leaks("file of a descriptor was not closed")
async def of_the_descriptor_of_a_file() -> None:
    KEPT.append(os.fdopen(os.open(HERE, os.O_RDONLY), "rb"))  # LEAK


@clean
async def closed() -> None:
    with open(HERE) as file:
        file.read()
    KEPT.append(open(HERE, "rb"))
    KEPT[-1].close()
    pathlib.Path("x").write_text("x")
    pathlib.Path("x").read_bytes()
    async with await anyio.open_file(HERE) as asynchronous:
        await asynchronous.readline()


@clean
async def unbuffered_and_closed() -> None:
    with open(HERE, "rb", buffering=0):
        pass


@clean
async def temporary_and_closed() -> None:
    with tempfile.TemporaryDirectory(), tempfile.NamedTemporaryFile(), tempfile.TemporaryFile():
        pass


@clean
async def detached_and_closed() -> None:
    file = open(HERE)
    file.detach().close()


@clean
async def second_view_of_a_descriptor() -> None:
    KEPT.append(open(1, "w", closefd=False))


@clean
async def opened_by_an_import() -> None:
    Path("opens_at_import.py").write_text(f"FILE = open({str(HERE)!r})\nhandle = FILE\n")
    sys.path.insert(0, os.getcwd())
    try:
        import opens_at_import  # type: ignore[import-not-found]
    finally:
        sys.path.pop(0)
        KEPT.append(sys.modules.pop("opens_at_import").FILE)
    assert vars(opens_at_import)["handle"] is KEPT[-1]
    importlib.invalidate_caches()


@clean
async def log_handler_that_opens_when_it_writes() -> None:
    logging.getLogger("test_files").error("written by the handler of somebody else")


@clean
async def pipes_of_a_process() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    process.communicate()
    subprocess.run([sys.executable, "-c", ""], check=True, capture_output=True)


@clean
async def double_of_a_test() -> None:
    with unittest.mock.patch("builtins.open", unittest.mock.mock_open(read_data="x")):
        assert open("x").read() == "x"


@clean
async def expected_by_the_test() -> None:
    with pytest.warns(ResourceWarning):
        open(HERE).read()


@clean
async def of_a_process_and_dropped() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        process = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@on_both_loops
@pytest.mark.parametrize(("test", "subject"), LEAKY)
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_a_leak_is_reported_once(bench: Any, test: Test, subject: str, line_of: LineOf) -> None:
    (finding,) = bench.run_test(test, loop_ends=False)
    assert (finding.rule, finding.subject) == ("UNO405", subject)
    assert finding.created[0].line == line_of(test, "# LEAK")
    assert bench.run_test(nothing) == []


@on_both_loops
@pytest.mark.parametrize("test", CLEAN)
def test_a_look_alike_is_silent(bench: Any, test: Test) -> None:
    handler = logging.FileHandler("late.log", delay=True)
    logging.getLogger("test_files").addHandler(handler)
    try:
        assert bench.run_test(test, loop_ends=False) == []
    finally:
        logging.getLogger("test_files").removeHandler(handler)
        handler.close()


def test_a_file_whose_descriptor_somebody_has_closed_is_not_left_open(bench: Any) -> None:
    async def test() -> None:
        KEPT.append(open(HERE, "rb", buffering=0))
        os.close(KEPT[-1].fileno())

    findings = bench.run_test(test, loop_ends=False)
    with pytest.raises(OSError):
        KEPT.pop().close()
    assert findings == []


def test_a_file_is_closed_when_it_was_reported(bench: Any) -> None:
    assert len(bench.run_test(kept)) == 1
    assert KEPT[-1].closed


def test_a_file_of_another_object_stays_open_and_says_no_more(bench: Any) -> None:
    assert len(bench.run_test(of_a_log_handler)) == 1
    handler = KEPT.pop()
    handler.emit(logging.makeLogRecord({"msg": "written"}))
    handler.stream.flush()
    assert Path("test.log").read_text() == "written\n"
    handler.stream = None  # a warning would be an error here
    handler.close()


def test_a_wider_fixture_may_keep_its_file_and_one_of_a_test(bench: Any) -> None:
    fixture = Owner("fixture", "hub", "session")
    value: list[Any] = []
    bench.detection.retain(fixture, value)

    async def set_up() -> None:
        value.append(open(HERE))

    async def test() -> None:
        value.append(open(HERE))

    bench.run_as(fixture, set_up)
    assert bench.run_test(test) == []
    fixture.ended = True
    bench.detection.release(fixture)
    findings = bench.detection.drain()
    assert [(finding.rule, finding.owner.name) for finding in findings] == [("UNO405", "hub")] * 2
    assert all(file.closed for file in value)


def test_many_files_are_forgotten_when_they_are_closed(bench: Any) -> None:
    async def test() -> None:
        for _ in range(600):
            with open(HERE):
                pass
        (files,) = (each for each in bench.detection._further if type(each).__name__ == "Files")
        assert len(files._opened) < 300

    assert bench.run_test(test) == []


def test_the_raw_file_holds_nothing_that_has_to_be_collected(bench: Any) -> None:
    async def test() -> None:
        with open(HERE, "rb") as file:
            KEPT.append(file.raw)

    assert bench.run_test(test) == []
    assert "_dealloc_warn" not in vars(KEPT[-1])


def test_open_looks_as_before(bench: Any) -> None:
    patched = (open.__name__, open.__doc__, inspect.signature(open), builtins.open is io.open)
    assert copy.deepcopy(open) is open
    assert pickle.loads(pickle.dumps(open)) is open

    class Opener:
        open: Any = open

    with Opener().open(HERE) as file:
        assert file.readable()
    with pytest.raises(FileNotFoundError):
        open("missing")
    bench.detection.remove()
    assert patched == (open.__name__, open.__doc__, inspect.signature(open), builtins.open is io.open)
    assert type(open) is type(len)
