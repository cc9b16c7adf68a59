from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_uno.core.asyncio_internals import FAILED_GROUP_CANCELS_HOST
from pytest_uno.core.retry import BackoffStrategy, _work_out_pause, retry
from tests.core.jumping_loop import in_jumping_loop, run


class Flaky:
    """Fails as often as there are errors, then returns."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.times: list[float] = []

    async def __call__(self, value: Any = "done") -> Any:
        self.times.append(asyncio.get_running_loop().time())
        if self.errors:
            raise self.errors.pop(0)
        return value


@in_jumping_loop
async def test_it_is_called_until_it_succeeds() -> None:
    flaky = Flaky(ValueError(), KeyError())
    assert await retry()(flaky)("value") == "value"
    assert flaky.times == pytest.approx([0, 0.1, 0.3])


@in_jumping_loop
async def test_the_bare_decorator_keeps_what_it_decorates() -> None:
    @retry
    async def documented(value: int) -> int:
        """Says what it does."""
        return value

    assert documented.__name__ == "documented"
    assert documented.__doc__ == "Says what it does."
    assert inspect.iscoroutinefunction(documented)
    assert await documented(3) == 3


@in_jumping_loop
async def test_the_last_error_has_the_history() -> None:
    flaky = Flaky(ValueError("a"), ValueError("b"), last := ValueError("c"))
    with pytest.raises(ValueError) as caught:
        await retry(3)(flaky)()
    assert caught.value is last
    assert last.__notes__ == [
        "retry: gave up after 3 attempts in 0.3 s; before that: ValueError('a'); ValueError('b')"
    ]


@in_jumping_loop
async def test_a_long_history_is_cut() -> None:
    flaky = Flaky(*(ValueError(number) for number in range(20)))
    with pytest.raises(ValueError) as caught:
        await retry(20, backoff_strategy="constant")(flaky)()
    assert "before that: 9 more; ValueError(9); " in caught.value.__notes__[0]


@in_jumping_loop
async def test_one_attempt_has_no_history() -> None:
    with pytest.raises(ValueError) as caught:
        await retry(1)(Flaky(ValueError()))()
    assert not hasattr(caught.value, "__notes__")


@in_jumping_loop
async def test_only_the_named_errors_are_retried() -> None:
    for types in (KeyError, [KeyError], {KeyError}, (each for each in [OSError, KeyError])):
        flaky = Flaky(KeyError(), ValueError())
        with pytest.raises(ValueError):
            await retry(5, retry_exceptions=types)(flaky)()
        assert len(flaky.times) == 2
    with pytest.raises(ValueError):
        await retry(5, retry_exceptions=())(Flaky(ValueError()))()


@in_jumping_loop
async def test_a_condition_decides() -> None:
    flaky = Flaky(ValueError("again"), ValueError("stop"))
    with pytest.raises(ValueError, match="stop"):
        await retry(5, retry_condition=lambda exc: "again" in str(exc))(flaky)()
    assert len(flaky.times) == 2


@pytest.mark.parametrize(
    ("group", "retried"),
    [
        (ExceptionGroup("", [KeyError(), ExceptionGroup("", [KeyError()])]), True),
        (ExceptionGroup("", [KeyError(), ExceptionGroup("", [ValueError()])]), False),
        (BaseExceptionGroup("", [KeyError(), KeyboardInterrupt()]), False),
    ],
)
@in_jumping_loop
async def test_a_group_is_retried_if_every_leaf_matches(group: BaseException, retried: bool) -> None:
    flaky = Flaky(group)
    if retried:
        assert await retry(retry_exceptions=KeyError)(flaky)() == "done"
    else:
        with pytest.raises(type(group)):
            await retry(retry_exceptions=KeyError)(flaky)()
        assert len(flaky.times) == 1


@in_jumping_loop
async def test_groups_as_such_may_be_named_and_none_matches_nothing() -> None:
    group = ExceptionGroup("", [ValueError()])
    assert await retry(retry_exceptions=ExceptionGroup)(Flaky(group))() == "done"
    with pytest.raises(ExceptionGroup):
        await retry(retry_exceptions=())(Flaky(group))()


@pytest.mark.parametrize("error", [asyncio.CancelledError(), GeneratorExit()])
@in_jumping_loop
async def test_what_ends_a_task_is_never_retried(error: BaseException) -> None:
    flaky = Flaky(error)
    with pytest.raises(type(error)):
        await retry(5)(flaky)()
    assert len(flaky.times) == 1


@in_jumping_loop
async def test_a_cancellation_ends_the_pause() -> None:
    flaky = Flaky(ValueError(), ValueError())
    task = asyncio.create_task(retry(5, base_delay=5)(flaky)())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert flaky.times == [0]


@pytest.mark.skipif(FAILED_GROUP_CANCELS_HOST, reason="3.11 and 3.12 cannot tell")
@in_jumping_loop
async def test_a_cancellation_turned_into_an_error_is_not_retried() -> None:
    calls = 0

    @retry(5)
    async def translate() -> None:
        nonlocal calls
        calls += 1
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ConnectionError from None

    task = asyncio.create_task(translate())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(ConnectionError):
        await task
    assert calls == 1


@in_jumping_loop
async def test_the_budget_is_on_the_loops_clock() -> None:
    calls = 0

    @retry(500, timeout=30, backoff_strategy="constant", base_delay=1)
    async def take_a_second() -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(1)
        raise ValueError

    with pytest.raises(ValueError) as caught:
        await take_a_second()
    assert calls == 16
    assert asyncio.get_running_loop().time() == 31
    assert "after 16 attempts in 31 s" in caught.value.__notes__[0]


@in_jumping_loop
async def test_on_retry_is_told_and_awaited() -> None:
    told: list[Any] = []
    errors = [ValueError("a"), ValueError("b")]

    async def tell(*args: Any) -> None:
        await asyncio.sleep(0)
        told.append(args)

    await retry(on_retry=tell)(Flaky(*errors))()
    await retry(on_retry=lambda *args: told.append(args))(Flaky(errors[0]))()
    assert told == [(errors[0], 1, 0.1), (errors[1], 2, 0.2), (errors[0], 1, 0.1)]


@in_jumping_loop
async def test_each_retry_is_logged() -> None:
    records: list[logging.LogRecord] = []
    logger = logging.Logger("mine", logging.DEBUG)

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    logger.addHandler(Keep())
    await retry(logger=logger)(Flaky(ValueError("a")))()
    assert "failed (ValueError('a')) in attempt 1 of 3, next in 0.1 s" in records[0].getMessage()


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_attempts": 0},
        {"max_attempts": True},
        {"max_attempts": 1.5},
        {"base_delay": -1},
        {"base_delay": float("nan")},
        {"base_delay": 2, "max_delay": 1},
        {"max_delay": float("inf")},
        {"backoff_factor": 0},
        {"jitter_factor": 1.1},
        {"jitter_factor": -0.1},
        {"timeout": -1},
        {"backoff_strategy": "nonsense"},
    ],
    ids=str,
)
def test_bad_numbers(arguments: Any) -> None:
    with pytest.raises(ValueError):
        retry(**arguments)


@pytest.mark.parametrize(
    "types", [asyncio.CancelledError, BaseException, [ValueError, KeyboardInterrupt], ["x"]]
)
def test_bad_exceptions(types: Any) -> None:
    with pytest.raises(TypeError, match="must be subclasses of Exception"):
        retry(retry_exceptions=types)


def test_a_synchronous_function_is_refused() -> None:
    with pytest.raises(TypeError, match="retry needs an `async def` function"):
        retry(lambda: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(TypeError, match="retry needs"):
        retry()(functools.partial(print))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="retry needs"):
        retry()(Flaky)  # type: ignore[arg-type]
    retry()(functools.partial(functools.partial(Flaky()), 1))


delays = st.floats(0, 1e6)


@given(
    strategy=st.sampled_from(BackoffStrategy),
    attempt=st.integers(1, 5000),
    previous=delays,
    bounds=st.tuples(delays, delays).map(sorted),
    factor=st.floats(0.01, 1e3),
    jitter=st.floats(0, 1),
    seed=st.integers(),
)
def test_pauses_are_within_their_bounds(
    strategy: BackoffStrategy,
    attempt: int,
    previous: float,
    bounds: list[float],
    factor: float,
    jitter: float,
    seed: int,
) -> None:
    base, most = bounds

    def pause() -> float:
        uniform = random.Random(seed).uniform
        return _work_out_pause(strategy, attempt, previous, base, most, factor, jitter, uniform)

    assert 0 <= pause() <= most
    assert pause() == pause()
    if strategy is BackoffStrategy.DECORRELATED:
        assert pause() >= base * (1 - 1e-9)
    if strategy is BackoffStrategy.CONSTANT:
        assert pause() == base


@given(strategy=st.sampled_from(["linear", "exponential"]), factor=st.floats(1, 10))
def test_pauses_without_jitter_never_shrink(strategy: str, factor: float) -> None:
    times: list[float] = []
    flaky = Flaky(*(ValueError() for _ in range(9)))
    run(
        retry(
            10, backoff_strategy=strategy, backoff_factor=factor, on_retry=lambda *args: times.append(args[2])
        )(flaky)()
    )
    assert times == sorted(times)
    assert len(times) == 9


@pytest.mark.parametrize("strategy", ["full_jitter", "EQUAL_JITTER", BackoffStrategy.DECORRELATED])
def test_jitter_comes_from_the_given_source_or_from_random(strategy: Any) -> None:
    def pauses(**options: Any) -> list[float]:
        told: list[float] = []
        decorate = retry(4, backoff_strategy=strategy, on_retry=lambda *args: told.append(args[2]), **options)
        run(decorate(Flaky(ValueError(), ValueError(), ValueError()))())
        return told

    assert pauses(rng=random.Random(1)) == pauses(rng=random.Random(1))
    random.seed(1)
    assert pauses() == pauses(rng=random.Random(1))
