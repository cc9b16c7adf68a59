from __future__ import annotations

import asyncio
import inspect
import multiprocessing.resource_tracker
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_uno.leaks.detection import LeakDetection
from pytest_uno.leaks.owners import Owner
from tests.leaks.examples import LineOf, Test, listed_in, listed_with, nothing, on_both_loops

LEAKY: list[Any] = []
CLEAN: list[Any] = []
KEPT: list[int] = []
HERE = Path(__file__)

leaks = listed_with(LEAKY)
clean = listed_in(CLEAN)

needs_unix = pytest.mark.skipif(sys.platform == "win32", reason="of Unix")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    KEPT.clear()


@leaks("descriptor of file 'test_descriptors.py' left open")
async def of_a_file() -> None:
    KEPT.append(os.open(HERE, os.O_RDONLY))  # LEAK


@leaks("both ends of a pipe left open")
async def of_a_pipe() -> None:
    KEPT.extend(os.pipe())  # LEAK


@leaks("read end of a pipe left open")
async def of_a_half_closed_pipe() -> None:
    reading, writing = os.pipe()  # LEAK
    KEPT.append(reading)
    os.close(writing)


@leaks("duplicated descriptor left open")
async def duplicated() -> None:
    KEPT.append(os.dup(1))  # LEAK


@leaks("descriptor of a temporary file left open")
async def of_tempfile() -> None:
    KEPT.append(tempfile.mkstemp()[0])  # LEAK


@leaks("descriptor of file 'test_descriptors.py' left open")
async def in_a_worker() -> None:
    KEPT.append(await asyncio.to_thread(os.open, HERE, os.O_RDONLY))  # LEAK


@leaks("write end of a pipe left open")
async def in_a_helper_thread() -> None:
    def work() -> None:
        reading, writing = os.pipe()  # LEAK
        os.fdopen(reading, "rb").close()
        KEPT.append(writing)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


if hasattr(os, "eventfd"):

    @leaks("eventfd left open")
    async def of_an_eventfd() -> None:
        KEPT.append(os.eventfd(0))  # LEAK


@clean
async def closed() -> None:
    os.close(os.open(HERE, os.O_RDONLY))
    for number in os.pipe():
        os.close(number)
    pathlib.Path("x").touch()


@clean
async def closed_by_keyword() -> None:
    os.close(fd=os.open(HERE, os.O_RDONLY))


@clean
async def handed_to_files() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb"), open(writing, "wb"):
        pass


@clean
async def closed_by_other_means() -> None:
    number = os.open(HERE, os.O_RDONLY)
    os.closerange(number, number + 1)


@clean
async def number_that_is_another_file_now() -> None:
    number = os.open(HERE, os.O_RDONLY)
    os.closerange(number, number + 1)
    with open(Path("y"), "w") as file:
        assert file.fileno() == number


@clean
async def folders_removed() -> None:
    os.makedirs("a/b/c")
    shutil.rmtree("a")
    assert (os.open in os.supports_dir_fd) == (sys.platform != "win32")


@clean
async def process_with_pipes() -> None:
    subprocess.run([sys.executable, "-c", ""], check=True, capture_output=True, stdin=subprocess.DEVNULL)


@clean
async def resource_tracker() -> None:
    if sys.platform != "win32":
        multiprocessing.resource_tracker.ensure_running()


@clean
async def sockets_and_selectors_of_a_loop() -> None:
    asyncio.new_event_loop().close()


@on_both_loops
@pytest.mark.parametrize(("test", "subject"), LEAKY)
def test_a_leak_is_reported_once_and_closed(bench: Any, test: Test, subject: str, line_of: LineOf) -> None:
    (finding,) = bench.run_test(test, loop_ends=False)
    assert (finding.rule, finding.subject) == ("UNO406", subject)
    assert finding.created[0].line == line_of(test, "# LEAK")
    assert bench.run_test(nothing) == []
    for number in KEPT:
        with pytest.raises(OSError):
            os.fstat(number)


@on_both_loops
@pytest.mark.parametrize("test", CLEAN)
def test_a_look_alike_is_silent(bench: Any, test: Test) -> None:
    assert bench.run_test(test, loop_ends=False) == []


def test_two_descriptors_of_one_line_are_two(bench: Any) -> None:
    async def test() -> None:
        KEPT.extend(os.open(HERE, os.O_RDONLY) for _ in range(2))

    assert [finding.rule for finding in bench.run_test(test)] == ["UNO406"] * 2


def test_what_an_object_of_a_wider_fixture_opens_is_the_fixtures(bench: Any) -> None:
    class FileLock:
        number = -1

        def acquire(self) -> None:
            self.number = os.open("lock", os.O_CREAT | os.O_RDWR)

    fixture, lock = Owner("fixture", "lock", "session"), FileLock()
    bench.detection.retain(fixture, lock)

    async def test() -> None:
        lock.acquire()

    assert bench.run_test(test) == []
    fixture.ended = True
    bench.detection.release(fixture)
    (finding,) = bench.detection.drain()
    assert (finding.rule, finding.owner.name) == ("UNO406", "lock")


def test_many_descriptors_are_forgotten_when_they_are_closed(bench: Any) -> None:
    async def test() -> None:
        (descriptors,) = (each for each in bench.detection._further if type(each).__name__ == "Descriptors")
        for number in [os.open(HERE, os.O_RDONLY) for _ in range(15)]:
            os.closerange(number, number + 1)
        assert len(descriptors._opened) == 15  # nobody has told of their end
        descriptors._limit = 10
        number = os.open(HERE, os.O_RDONLY)
        assert list(descriptors._opened) == [number]
        os.close(number)

    assert bench.run_test(test) == []


@pytest.mark.parametrize("name", ["open", "close", "pipe", "dup"])
def test_a_function_of_os_looks_as_before(bench: Any, name: str) -> None:
    def shape() -> tuple[Any, ...]:
        function = getattr(os, name)
        return function.__name__, function.__doc__, inspect.signature(function)

    patched = shape()
    bench.detection.remove()
    assert patched == shape()
    assert isinstance(getattr(os, name), type(os.getpid))


def test_a_class_may_keep_a_function_of_os(bench: Any) -> None:
    class Closer:
        close: Any = os.close

    Closer().close(os.open(HERE, os.O_RDONLY))


@needs_unix
def test_a_set_of_functions_is_as_before(bench: Any) -> None:
    bench.detection.remove()
    assert os.open in os.supports_dir_fd
    assert all(type(function).__module__ == "builtins" for function in os.supports_dir_fd)


def test_a_function_that_takes_no_folder_is_not_said_to_take_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "supports_dir_fd", set())
    detection = LeakDetection(root=HERE.parent)
    detection.install()
    try:
        assert os.supports_dir_fd == set()
    finally:
        detection.remove()
    assert os.supports_dir_fd == set()
