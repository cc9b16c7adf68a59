from __future__ import annotations

import datetime
import os
import random
import threading
import time
import uuid
from collections.abc import Callable

import pytest

from pytest_uno.explore.suspects import Suspects


@pytest.mark.parametrize(
    ("call", "cause"),
    [
        (lambda: time.time(), "clock: time() at test_suspects.py:"),
        (lambda: time.perf_counter_ns(), "clock: perf_counter_ns() at test_suspects.py:"),
        (lambda: datetime.datetime.now(datetime.UTC), "clock: datetime.now() at test_suspects.py:"),
        (lambda: random.random(), "random: Random.random() at test_suspects.py:"),
        (lambda: random.randint(1, 6), "random: Random.randint() at test_suspects.py:"),
        (lambda: uuid.uuid4(), "random: uuid4() at test_suspects.py:"),
        (lambda: os.urandom(1), "random: urandom() at test_suspects.py:"),
        (lambda: threading.Thread(target=int), "threads: Thread.__init__() at test_suspects.py:"),
        (lambda: time.sleep(0), "hash order: iteration over a set, or an order by id() or hash()"),
        (lambda: time.strftime("%Y"), "hash order: "),
    ],
)
def test_cause(call: Callable[[], object], cause: str) -> None:
    suspects = Suspects()
    with suspects.watch():
        call()
    found = suspects.name_cause(has_slow_jobs=False)
    assert found.startswith(cause), found


def test_slow_jobs_come_first() -> None:
    suspects = Suspects()
    with suspects.watch():
        random.random()
    assert suspects.name_cause(has_slow_jobs=True).startswith("threads: a job took longer")


def test_chance_comes_before_the_clock() -> None:
    suspects = Suspects()
    with suspects.watch():
        time.time()
        random.random()
    assert suspects.name_cause(has_slow_jobs=False).startswith("random")
