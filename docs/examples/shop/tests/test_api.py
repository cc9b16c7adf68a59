"""The API as a customer sees it: the real application, without a network."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from shop.api import Services, create_app
from shop.models import GiftCard
from shop.sandbox import SandboxProvider

pytestmark = pytest.mark.uno_async


@pytest.fixture
def services(app: FastAPI) -> Services:
    """What the running application consists of."""
    services = app.state.services
    assert isinstance(services, Services)
    return services


async def test_an_order_can_be_placed_and_looked_at(client: httpx.AsyncClient) -> None:
    placed = await client.post("/orders", json={"email": "ada@example.org", "sku": "tea", "quantity": 2})
    assert placed.status_code == 201
    assert placed.json()["status"] == "paid"
    assert placed.json()["total"] == 900

    looked_at = await client.get(f"/orders/{placed.json()['id']}")
    assert looked_at.status_code == 200
    assert looked_at.json() == placed.json()


async def test_a_paid_order_gets_a_receipt(client: httpx.AsyncClient, services: Services) -> None:
    placed = await client.post("/orders", json={"email": "eve@example.org", "sku": "tea", "quantity": 1})
    await services.receipts.flush()

    assert [receipt.order_id for receipt in services.outbox.sent] == [placed.json()["id"]]


@pytest.mark.parametrize(
    ("order", "status"),
    [
        ({"email": "ada@example.org", "sku": "moonlight", "quantity": 1}, 404),
        ({"email": "ada@example.org", "sku": "tea", "quantity": 1000}, 409),
        ({"email": "ada@example.org", "sku": "tea", "quantity": 0}, 422),
    ],
    ids=["unknown", "out-of-stock", "nothing"],
)
async def test_an_order_that_cannot_be_is_refused(
    client: httpx.AsyncClient, order: dict[str, str | int], status: int
) -> None:
    assert (await client.post("/orders", json=order)).status_code == status


@pytest.mark.parametrize(
    ("answers", "status"), [([402], 402), ([500, 500, 500], 503)], ids=["declined", "down"]
)
async def test_trouble_with_the_payment_is_told(
    client: httpx.AsyncClient, provider: SandboxProvider, answers: list[int], status: int
) -> None:
    provider.answer_next(*answers)

    refused = await client.post("/orders", json={"email": "ada@example.org", "sku": "tea", "quantity": 1})

    assert refused.status_code == status


@pytest.mark.parametrize(
    ("card", "amount", "answer"),
    [
        ("spring", 3000, (201, {"balance": 2000})),
        ("spring", 5001, (409, {"detail": "not enough money on the card"})),
        ("winter", 1, (404, {"detail": "no such gift card"})),
    ],
    ids=["enough", "too-much", "unknown"],
)
async def test_a_gift_card_is_spent(
    client: httpx.AsyncClient, session: AsyncSession, card: str, amount: int, answer: tuple[int, object]
) -> None:
    session.add(GiftCard(code="spring", balance=5000))
    await session.commit()

    spent = await client.post(f"/gift-cards/{card}/redemptions", json={"amount": amount})

    assert (spent.status_code, spent.json()) == answer


async def test_an_order_that_is_not_there_is_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.get("/orders/999")).status_code == 404


async def test_the_application_closes_what_it_opened() -> None:
    app = create_app("https://pay.example", staff_password="darjeeling")

    async with app.router.lifespan_context(app):
        manager = app.state.services.manager
        assert set(manager.resources) == {"database", "payment provider", "outbox"}
        assert {task.get_name() for task in manager.tasks} == {"receipts", "nightly"}

    assert manager.closed
    assert not manager.tasks
