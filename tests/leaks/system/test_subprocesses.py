from __future__ import annotations

import asyncio
import gc
import inspect
import os
import subprocess
import sys
import warnings
from typing import Any

import pytest

from pytest_uno.leaks.network.transport_internals import ASYNC_PROCESS
from pytest_uno.leaks.owners import Owner
from pytest_uno.leaks.system import subprocesses
from tests.leaks.examples import LineOf, Test, listed_in, listed_with, nothing, on_both_loops

LEAKY: list[Any] = []
CLEAN: list[Any] = []
KEPT: list[Any] = []

leaks = listed_with(LEAKY)
clean = listed_in(CLEAN)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="asyncio's selector loop has none there")

PIPE = subprocess.PIPE
WAITS = ("sleep", "60")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@leaks("sleep")
async def of_asyncio() -> None:
    KEPT.append(await asyncio.create_subprocess_exec(*WAITS))  # LEAK


@leaks("sleep")
async def of_asyncio_dropped() -> None:
    await asyncio.create_subprocess_exec(*WAITS)  # LEAK


@leaks("cat")
async def of_asyncio_with_pipes() -> None:
    process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE, stderr=PIPE)  # LEAK
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"x\n")
    assert await process.stdout.readline() == b"x\n"
    KEPT.append(process)


@leaks("exec")
async def of_asyncio_with_a_shell() -> None:
    KEPT.append(await asyncio.create_subprocess_shell("exec sleep 60"))  # LEAK


@leaks("sleep")
async def of_asyncio_with_a_protocol() -> None:
    loop = asyncio.get_running_loop()
    KEPT.append(await loop.subprocess_exec(asyncio.SubprocessProtocol, *WAITS))  # LEAK


@leaks("sleep")
async def of_popen() -> None:
    KEPT.append(subprocess.Popen(WAITS))  # LEAK


@leaks("sleep")
async def of_popen_dropped() -> None:
    subprocess.Popen(WAITS).kill()  # LEAK


@leaks("true")
async def of_popen_that_has_ended() -> None:
    KEPT.append(subprocess.Popen("/bin/true" if os.path.exists("/bin/true") else "true"))  # LEAK


@leaks("cat")
async def of_popen_with_pipes() -> None:
    KEPT.append(subprocess.Popen(["cat"], stdin=PIPE, stdout=PIPE, stderr=PIPE))  # LEAK


@leaks("sleep")
async def of_popen_dropped_in_a_cycle() -> None:
    cycle: list[Any] = [subprocess.Popen(WAITS)]  # LEAK
    cycle.append(cycle)
    cycle[0].kill()


@leaks("sleep")
async def of_popen_dropped_in_a_cycle_and_collected() -> None:
    cycle: list[Any] = [subprocess.Popen(WAITS)]  # LEAK
    cycle.append(cycle)
    cycle[0].kill()
    del cycle
    gc.collect()


@leaks("sleep")
async def of_popen_in_a_helper_thread() -> None:
    def work() -> None:
        KEPT.append(subprocess.Popen(WAITS))  # LEAK

    await asyncio.to_thread(work)


@clean
async def run() -> None:
    subprocess.run(["true"], check=True)
    assert subprocess.check_output(["echo", "x"]) == b"x\n"


@clean
async def waited_for() -> None:
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()
    with subprocess.Popen(["true"]):
        pass
    subprocess.Popen(["true"]).wait()


@clean
async def communicated_with() -> None:
    process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    assert (await process.communicate(b"x"))[0] == b"x"
    with subprocess.Popen(["cat"], stdin=PIPE, stdout=PIPE) as popen:
        assert popen.communicate(b"x")[0] == b"x"


@clean
async def told_to_end() -> None:
    (await asyncio.create_subprocess_exec(*WAITS)).terminate()
    (await asyncio.create_subprocess_exec(*WAITS)).kill()


@clean
async def told_to_end_and_waited_for() -> None:
    process = await asyncio.create_subprocess_exec(*WAITS)
    process.terminate()
    await process.wait()
    popen = subprocess.Popen(WAITS)
    popen.terminate()
    popen.wait()


@clean
async def read_to_the_end() -> None:
    process = await asyncio.create_subprocess_exec("echo", "x", stdout=PIPE)
    assert process.stdout is not None
    assert await process.stdout.read() == b"x\n"


@clean
async def with_a_transport_that_is_closed() -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.subprocess_exec(asyncio.SubprocessProtocol, *WAITS)
    transport.close()


@clean
async def that_cannot_be_started() -> None:
    with pytest.raises(FileNotFoundError):
        subprocess.Popen(["/no/such/program"])
    with pytest.raises(FileNotFoundError):
        await asyncio.create_subprocess_exec("/no/such/program")


@clean
async def in_a_loop_of_its_own() -> None:
    async def job() -> None:
        process = await asyncio.create_subprocess_exec("true")
        await process.wait()

    await asyncio.to_thread(asyncio.run, job())


@clean
async def expected_to_be_dropped() -> None:
    with pytest.warns(ResourceWarning, match="still running"):
        subprocess.Popen(["true"])


@on_both_loops
@pytest.mark.parametrize(("test", "program"), LEAKY)
def test_a_leak_is_reported_once(bench: Any, test: Test, program: str, line_of: LineOf) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        (finding,) = bench.run_test(test, loop_ends=False)
    assert (finding.rule, finding.subject) == ("UNO403", f"process {program!r} was not waited for")
    assert finding.created[0].line == line_of(test, "# LEAK")
    assert not any(is_alive(process.pid) for process in KEPT if hasattr(process, "pid"))
    KEPT.clear()
    gc.collect()
    assert bench.run_test(nothing) == []


@on_both_loops
@pytest.mark.parametrize("test", CLEAN)
def test_a_look_alike_is_silent(bench: Any, test: Test) -> None:
    assert bench.run_test(test) == []
    assert bench.unhandled == []
    assert bench.run_test(nothing) == []


def test_a_process_of_a_loop_that_was_closed_is_found(bench: Any) -> None:
    async def job() -> None:
        KEPT.append(await asyncio.create_subprocess_exec(*WAITS))

    async def test() -> None:
        def work() -> None:
            asyncio.run(job())

        await asyncio.to_thread(work)

    (finding,) = bench.run_test(test)
    assert finding.rule == "UNO403"
    process = KEPT.pop()
    assert not is_alive(process.pid)
    # It says nothing more when it is dropped, however late.
    assert process._transport.is_closing()


def test_the_process_of_a_leaked_task_goes_with_the_task(bench: Any) -> None:
    async def supervise() -> None:
        process = await asyncio.create_subprocess_exec(*WAITS)
        KEPT.append(process.pid)
        await process.wait()

    async def test() -> None:
        task = asyncio.create_task(supervise())
        while not KEPT:
            await asyncio.sleep(0.001)
        KEPT.append(task)

    (finding,) = bench.run_test(test, loop_ends=False)
    assert finding.rule == "UNO101"
    assert not is_alive(KEPT[0])
    assert bench.run_test(nothing) == []
    KEPT.clear()


@pytest.mark.parametrize("start", [of_asyncio, of_popen])
def test_the_process_of_a_wider_fixture_goes_on_until_that_ends(bench: Any, start: Test) -> None:
    fixture = Owner("fixture", "database", "session")
    bench.run_as(fixture, start)
    assert bench.run_test(nothing, loop_ends=False) == []
    assert is_alive(KEPT[0].pid)
    fixture.ended = True
    (finding,) = bench.run_test(nothing, loop_ends=False)
    assert (finding.rule, finding.owner.name) == ("UNO403", "database")
    assert not is_alive(KEPT.pop().pid)


def test_a_process_that_a_wider_fixture_holds_is_the_fixtures(bench: Any) -> None:
    pool: list[Any] = []
    fixture = Owner("fixture", "pool", "session")
    bench.detection.retain(fixture, pool)

    async def test() -> None:
        pool.append(subprocess.Popen(WAITS))

    assert bench.run_test(test, loop_ends=False) == []
    assert is_alive(pool[0].pid)
    fixture.ended = True
    (finding,) = bench.run_test(nothing)
    assert (finding.rule, finding.owner.name) == ("UNO403", "pool")


@pytest.mark.parametrize("cls", [subprocess.Popen, ASYNC_PROCESS])
@pytest.mark.parametrize("name", ["__init__", "__del__", "kill"])
def test_a_patched_method_looks_as_before(bench: Any, cls: type[Any], name: str) -> None:
    def shape() -> tuple[Any, ...]:
        method = getattr(cls, name)
        return method.__name__, method.__doc__, inspect.signature(method)

    patched = shape()
    bench.detection.remove()
    assert patched == shape()


def test_a_process_that_takes_its_time_to_end_after_a_signal_is_waited_for(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocesses, "_DYING", 30)

    async def test() -> None:
        script = "trap 'sleep 0.2; exit' TERM; echo ready; while :; do sleep 0.01; done"
        process = await asyncio.create_subprocess_exec("sh", "-c", script, stdout=PIPE)
        assert process.stdout is not None
        await process.stdout.readline()
        process.terminate()
        KEPT.append(process)

    assert bench.run_test(test, loop_ends=False) == []
    assert KEPT[0].returncode is not None
    bench.run_as(None, KEPT.pop().communicate)  # to the end of its output
    bench.run_as(None, lambda: asyncio.sleep(0.01))


def test_a_process_that_nobody_owns_is_not_noted(bench: Any) -> None:
    (detector,) = [each for each in bench.detection._further if type(each).__name__ == "OpenProcesses"]
    with subprocess.Popen("true"):
        assert len(detector._made) == 0


def test_a_process_of_a_library_alone_is_its_own_affair(bench: Any) -> None:
    names: dict[str, Any] = {"subprocess": subprocess, "kept": KEPT}
    source = "def start(): kept.append(subprocess.Popen('true'))"
    exec(compile(source, "<frozen library>", "exec"), names)

    async def test() -> None:
        asyncio.get_running_loop().call_soon(names["start"])
        await asyncio.sleep(0)

    assert bench.run_test(test) == []
    KEPT.pop().wait()
