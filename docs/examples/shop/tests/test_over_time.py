"""The whole application over hours and days: web framework, HTTP client and database, in milliseconds.

The database works in a thread of its own, and the clock stands still while it does.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from pytest_uno.clock import VirtualClock

from shop.api import Services
from shop.receipts import Receipt
from shop.sandbox import SandboxProvider

pytestmark = pytest.mark.uno_async(start="2026-03-01T21:00Z")

HOUR = 3600
TEA = {"email": "ada@example.org", "sku": "tea", "quantity": 1}


async def sign_in(client: httpx.AsyncClient, password: str) -> httpx.Response:
    return await client.post("/staff/sessions", json={"password": password})


async def look_at_orders(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.get("/orders", headers={"Authorization": f"Bearer {token}"})


async def test_a_session_expires_an_hour_after_its_last_use(client: httpx.AsyncClient) -> None:
    session = (await sign_in(client, "darjeeling")).json()
    assert datetime.fromisoformat(session["expires_at"]) == datetime.fromisoformat("2026-03-01T22:00Z")

    for _ in range(8):  # a night shift
        await asyncio.sleep(HOUR - 1)
        assert (await look_at_orders(client, session["token"])).status_code == 200
    await asyncio.sleep(HOUR)
    assert (await look_at_orders(client, session["token"])).status_code == 401


async def test_a_session_is_its_owners_alone(client: httpx.AsyncClient) -> None:
    assert (await client.get("/orders")).status_code == 401
    assert (await look_at_orders(client, "guessed")).status_code == 401

    first = (await sign_in(client, "darjeeling")).json()["token"]
    await asyncio.sleep(HOUR / 2)
    second = (await sign_in(client, "darjeeling")).json()["token"]
    await asyncio.sleep(HOUR / 2)

    assert (await look_at_orders(client, first)).status_code == 401
    assert (await look_at_orders(client, second)).status_code == 200


async def test_passwords_cannot_be_guessed_quickly(
    client: httpx.AsyncClient, uno_clock: VirtualClock
) -> None:
    for guess in range(5):
        assert (await sign_in(client, f"guess {guess}")).status_code == 401
        await asyncio.sleep(1)
    refused = await sign_in(client, "darjeeling")
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "55"

    await asyncio.sleep(int(refused.headers["Retry-After"]))
    assert (await sign_in(client, "darjeeling")).status_code == 201
    assert uno_clock.elapsed == 60


async def test_an_unknown_payment_is_settled_in_the_night(
    client: httpx.AsyncClient, app: FastAPI, provider: SandboxProvider, uno_clock: VirtualClock
) -> None:
    services: Services = app.state.services
    provider.answer_next(500, 500, 500)
    assert (await client.post("/orders", json=TEA)).status_code == 503
    night = datetime.fromisoformat("2026-03-02T03:00Z")

    await uno_clock.advance((night - uno_clock.now() - timedelta(seconds=1)).total_seconds())
    assert (await client.get("/orders/1")).json()["status"] == "pending"
    assert services.outbox.sent == []

    await uno_clock.advance(2)
    assert (await client.get("/orders/1")).json()["status"] == "paid"
    assert services.outbox.sent == [Receipt(1, "ada@example.org", 450)]
    assert [request.headers["Idempotency-Key"] for request in provider.requests] == ["order-1"] * 4


async def test_a_provider_that_is_down_for_days_is_asked_every_night(
    client: httpx.AsyncClient, provider: SandboxProvider, uno_clock: VirtualClock
) -> None:
    nights_down = 6
    provider.answer_next(*[500, 500, 500] * (1 + nights_down))
    assert (await client.post("/orders", json=TEA)).status_code == 503

    await uno_clock.advance(nights_down * 24 * HOUR)
    assert (await client.get("/orders/1")).json()["status"] == "pending"
    await uno_clock.advance(24 * HOUR)
    assert (await client.get("/orders/1")).json()["status"] == "paid"
