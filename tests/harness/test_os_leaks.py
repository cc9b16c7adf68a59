"""Files, descriptors, threads and executors that fixtures end, in whole runs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.leak_examples import SYSTEM

pytestmark = pytest.mark.usefixtures("collected")


def test_fixtures_that_clean_up_are_silent(project: Any) -> None:
    result = project.run(
        f"""{SYSTEM.prelude}
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
        f"""{SYSTEM.prelude}
    @uno
    async def test_it():
        assert type(open) is not type(len)
    """
    ).assert_outcomes(passed=1)
    assert before == (open, os.open, os.close, os.pipe, threading.Thread.start, set(os.supports_dir_fd))
