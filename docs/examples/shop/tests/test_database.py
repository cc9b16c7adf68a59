"""The shop's own database, in which each test may do what it likes: nothing is there for the next one.

Without the sandbox most of these tests would break another one, or themselves when they are run again.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest
from pytest_uno.clock import VirtualClock
from pytest_uno.database import UnoDatabase
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from shop.models import Order, Product
from shop.sandbox import SandboxProvider

pytestmark = pytest.mark.uno_async(start="2026-03-01T12:00Z")

TEA = {"email": "ada@example.org", "sku": "tea", "quantity": 1}
ALL_THE_TEA = {**TEA, "quantity": 10}
DAY = 24 * 3600


@pytest.mark.parametrize("customer", ["ada@example.org", "bob@example.org"])
async def test_somebody_buys_all_the_tea(client: httpx.AsyncClient, customer: str) -> None:
    bought = await client.post("/orders", json={**ALL_THE_TEA, "email": customer})

    assert bought.status_code == 201
    assert bought.json()["id"] == 1


async def test_the_shelves_can_be_torn_down(session: AsyncSession) -> None:
    await session.execute(text("DROP TABLE orders"))
    await session.execute(text("DELETE FROM products"))
    await session.commit()

    assert await session.scalar(select(func.count()).select_from(Product)) == 0


async def test_the_last_packet_is_sold_once(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.post("/orders", json=TEA) for _ in range(12)))

    assert Counter(answer.status_code for answer in answers) == {201: 10, 409: 2}


async def test_a_refused_order_leaves_nothing(client: httpx.AsyncClient, uno_db: UnoDatabase) -> None:
    assert (await client.post("/orders", json={**TEA, "quantity": 11})).status_code == 409

    assert uno_db.commits == ()


async def test_a_paid_order_is_two_transactions(client: httpx.AsyncClient, uno_db: UnoDatabase) -> None:
    await client.post("/orders", json=TEA)

    reserved, paid = uno_db.commits
    assert reserved.tables == ("products", "orders")
    assert paid.tables == ("orders",)
    assert uno_db.discarded == ()


async def test_the_nightly_job_writes_in_the_background(
    client: httpx.AsyncClient, provider: SandboxProvider, session: AsyncSession, uno_clock: VirtualClock
) -> None:
    provider.answer_next(500, 500, 500)
    assert (await client.post("/orders", json=TEA)).status_code == 503

    await uno_clock.advance(DAY)

    assert (await session.scalars(select(Order.payment_id))).one() is not None


async def test_the_list_of_orders_takes_no_query_for_each(
    client: httpx.AsyncClient, session: AsyncSession, uno_db: UnoDatabase
) -> None:
    session.add_all(Order(email="ada@example.org", sku="tea", quantity=1, total=450) for _ in range(50))
    await session.commit()
    signed_in = await client.post("/staff/sessions", json={"password": "darjeeling"})
    headers = {"Authorization": f"Bearer {signed_in.json()['token']}"}

    with uno_db.max_queries(1):
        listed = await client.get("/orders", headers=headers)

    assert len(listed.json()) == 50
