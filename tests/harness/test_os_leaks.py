"""Files, descriptors, threads and executors that tests and fixtures leave, in whole runs."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("collected")

PRELUDE = """
    import concurrent.futures
    import os
    import threading
    KEPT = []
    STOP = threading.Event()
    uno = pytest.mark.uno_async
"""

LEAKS = {
    "UNO405": "KEPT.append(open(__file__))",
    "UNO406": "KEPT.append(os.open(__file__, os.O_RDONLY))",
    "UNO407": "threading.Thread(target=STOP.wait, args=(5,), daemon=True).start()",
    "UNO408": "KEPT.append(concurrent.futures.ThreadPoolExecutor(1)); KEPT[-1].submit(int).result()",
}


@pytest.mark.parametrize("clock", ["virtual", "real"])
@pytest.mark.parametrize("rule", LEAKS)
def test_a_test_that_leaks_fails(project: Any, rule: str, clock: str) -> None:
    result = project.run(
        f"""{PRELUDE}
    @uno(clock="{clock}")
    async def test_leaks():
        {LEAKS[rule]}
    @uno
    async def test_innocent(): pass
    """
    )
    assert project.outcomes(result) == {"failed": 1, "passed": 1}
    result.stdout.fnmatch_lines([f"{rule} *", "*created*in test_leaks"])


@pytest.mark.parametrize("kind", ["async def", "def"])
@pytest.mark.parametrize("scope", ["function", "class", "module", "session"])
@pytest.mark.parametrize("rule", LEAKS)
def test_a_fixture_that_leaks_is_blamed(project: Any, rule: str, scope: str, kind: str) -> None:
    result = project.run(
        f"""{PRELUDE}
    @pytest.fixture(scope="{scope}")
    {kind} hub():
        {LEAKS[rule]}
        yield
    @uno
    class TestHub:
        async def test_first(self, hub): pass
        async def test_last(self, hub): pass
    """
    )
    errors = 2 if scope == "function" else 1
    assert project.outcomes(result) == {"passed": 2, "errors": errors}
    result.stdout.fnmatch_lines([f"{rule} *", "*created*in hub", f"*owner*fixture 'hub' ({scope}, *"])


def test_fixtures_that_clean_up_are_silent(project: Any) -> None:
    result = project.run(
        f"""{PRELUDE}
    @pytest.fixture(scope="session")
    def file(tmp_path_factory):
        with open(tmp_path_factory.mktemp("s") / "log", "w") as file:
            yield file
    @pytest.fixture(scope="module")
    async def thread():
        ended = threading.Event()
        thread = threading.Thread(target=ended.wait)
        thread.start()
        yield
        ended.set()
        thread.join()
    @pytest.fixture(scope="module")
    def pool():
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            yield pool
    @pytest.fixture
    def pipe():
        pipe = os.pipe()
        yield pipe
        for number in pipe:
            os.close(number)
    @uno
    @pytest.mark.parametrize("number", range(3))
    async def test_uses(number, file, thread, pool, pipe, capfd, tmp_path, caplog):
        file.write("x")
        await asyncio.get_running_loop().run_in_executor(pool, os.write, pipe[1], b"x")
        (tmp_path / "x").write_text("x")
        print("captured")
    """
    )
    assert project.outcomes(result) == {"passed": 3}


def test_the_hooks_are_out_after_the_run(project: Any) -> None:
    import os
    import threading

    before = (open, os.open, os.close, os.pipe, threading.Thread.start, set(os.supports_dir_fd))
    project.run(
        f"""{PRELUDE}
    @uno
    async def test_it():
        assert type(open) is not type(len)
    """
    ).assert_outcomes(passed=1)
    assert before == (open, os.open, os.close, os.pipe, threading.Thread.start, set(os.supports_dir_fd))
