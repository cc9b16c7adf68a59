"""The payment client: what it sends, when it tries again, when it gives up."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from pytest_uno.clock import VirtualClock

from shop.payments import PaymentClient, PaymentDeclined, PaymentUnavailable
from shop.sandbox import SandboxProvider

pytestmark = pytest.mark.uno_async


async def test_a_charge_names_the_order(payments: PaymentClient, provider: SandboxProvider) -> None:
    assert await payments.charge(7, 450) == "payment-1"

    (request,) = provider.requests
    assert request.url == "https://pay.example/charges"
    assert json.loads(request.content) == {"amount": 450, "reference": "order-7"}


@pytest.mark.parametrize("trouble", [503, httpx.ConnectError("connection refused")], ids=["503", "refused"])
async def test_trouble_that_passes_is_overcome(
    payments: PaymentClient, provider: SandboxProvider, trouble: int | Exception
) -> None:
    provider.answer_next(trouble)

    assert await payments.charge(7, 450) == "payment-2"
    assert [request.headers["Idempotency-Key"] for request in provider.requests] == ["order-7", "order-7"]


async def test_trouble_that_stays_is_reported(payments: PaymentClient, provider: SandboxProvider) -> None:
    provider.answer_next(503, 503, 503)

    with pytest.raises(PaymentUnavailable, match="503"):
        await payments.charge(7, 450)

    assert len(provider.requests) == 3


async def test_a_refusal_is_final(payments: PaymentClient, provider: SandboxProvider) -> None:
    provider.answer_next(402)

    with pytest.raises(PaymentDeclined, match="order 7"):
        await payments.charge(7, 450)

    assert len(provider.requests) == 1


async def test_silence_has_a_limit(uno_clock: VirtualClock) -> None:
    async def never_answer(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError("this point is never reached")

    transport = httpx.MockTransport(never_answer)
    async with httpx.AsyncClient(base_url="https://pay.example", transport=transport) as http:
        with pytest.raises(PaymentUnavailable, match="charging order 7"):
            await PaymentClient(http).charge(7, 450)

    assert uno_clock.elapsed == 5


async def test_the_limit_is_for_all_attempts_together(uno_clock: VirtualClock) -> None:
    moments: list[float] = []

    async def answer_slowly(request: httpx.Request) -> httpx.Response:
        moments.append(uno_clock.elapsed)
        await asyncio.sleep(30)
        return httpx.Response(503)

    transport = httpx.MockTransport(answer_slowly)
    async with httpx.AsyncClient(base_url="https://pay.example", transport=transport) as http:
        with pytest.raises(PaymentUnavailable):
            await PaymentClient(http, time_limit=70).charge(7, 450)

    assert moments == pytest.approx([0, 30, 60], abs=0.15)
    assert uno_clock.elapsed == 70
