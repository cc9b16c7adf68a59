"""The shop's web API. Its lifespan owns everything that must be closed, through one manager."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, time
from math import ceil
from typing import Annotated

import httpx
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from pytest_uno import AsyncManager, create_read_transaction_manager, transaction_manager, use_manager
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from shop.database import create_schema, engine, sessions
from shop.gift_cards import NotEnoughMoneyError, UnknownCardError, redeem
from shop.models import Order, OrderStatus
from shop.orders import Checkout, OutOfStockError, UnknownProductError
from shop.payments import PaymentClient, PaymentDeclined, PaymentUnavailable
from shop.receipts import Outbox, ReceiptWorker
from shop.schedule import run_daily
from shop.staff import NotSignedInError, StaffDesk, TooManyAttemptsError, WrongPasswordError

SETTLING_TIME = time(3, 0)  # UTC


@dataclass(frozen=True)
class Services:
    """What a running shop consists of."""

    manager: AsyncManager
    open_read_only: Callable[[], AbstractAsyncContextManager[AsyncSession]]
    outbox: Outbox
    receipts: ReceiptWorker
    checkout: Checkout
    desk: StaffDesk


class NewOrder(BaseModel):
    """What a customer sends."""

    email: str
    sku: str
    quantity: int = Field(gt=0)


class OrderView(BaseModel):
    """What a customer sees of an order."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    sku: str
    quantity: int
    total: int
    status: OrderStatus


class Redemption(BaseModel):
    """What a customer spends of a gift card."""

    amount: int = Field(gt=0)


class GiftCardView(BaseModel):
    """What a customer sees of a gift card."""

    balance: int


class Credentials(BaseModel):
    """What a member of staff sends to sign in."""

    password: str


class SessionView(BaseModel):
    """What a member of staff gets: a token for the header `Authorization: Bearer`."""

    model_config = ConfigDict(from_attributes=True)

    token: str
    expires_at: datetime


async def get_services(request: Request) -> AsyncIterator[Services]:
    """Give a request the shop's services, and make the shop's manager the current one.

    A server runs requests in tasks that know nothing of the lifespan's context.
    """
    services: Services = request.app.state.services
    with use_manager(services.manager):
        yield services


RequestServices = Annotated[Services, Depends(get_services)]
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]


async def require_staff(services: RequestServices, bearer: Bearer) -> None:
    """Refuse whoever is not signed in."""
    try:
        services.desk.check(bearer.credentials if bearer else "")
    except NotSignedInError as error:
        raise HTTPException(401, "not signed in", {"WWW-Authenticate": "Bearer"}) from error


router = APIRouter()


@router.post("/orders", status_code=201)
async def create_order(new: NewOrder, services: RequestServices) -> OrderView:
    """Buy something."""
    try:
        order = await services.checkout.buy(email=new.email, sku=new.sku, quantity=new.quantity)
    except UnknownProductError as error:
        raise HTTPException(404, "no such product") from error
    except OutOfStockError as error:
        raise HTTPException(409, "out of stock") from error
    except PaymentDeclined as error:
        raise HTTPException(402, "payment declined") from error
    except PaymentUnavailable as error:
        raise HTTPException(503, "payment provider unavailable") from error
    return OrderView.model_validate(order)


@router.get("/orders/{order_id}")
async def read_order(order_id: int, services: RequestServices) -> OrderView:
    """Look at an order."""
    async with services.open_read_only() as session:
        order = await session.get(Order, order_id)
        if order is None:
            raise HTTPException(404, "no such order")
        return OrderView.model_validate(order)


@router.post("/gift-cards/{code}/redemptions", status_code=201)
async def redeem_gift_card(code: str, redemption: Redemption, services: RequestServices) -> GiftCardView:
    """Spend money of a gift card."""
    try:
        async with transaction_manager() as session:
            return GiftCardView(balance=await redeem(session, code=code, amount=redemption.amount))
    except UnknownCardError as error:
        raise HTTPException(404, "no such gift card") from error
    except NotEnoughMoneyError as error:
        raise HTTPException(409, "not enough money on the card") from error


@router.post("/staff/sessions", status_code=201)
async def sign_in(credentials: Credentials, services: RequestServices) -> SessionView:
    """Sign a member of staff in."""
    try:
        session = services.desk.sign_in(credentials.password)
    except TooManyAttemptsError as error:
        seconds = str(ceil(error.retry_after))
        raise HTTPException(429, "too many attempts", {"Retry-After": seconds}) from error
    except WrongPasswordError as error:
        raise HTTPException(401, "wrong password") from error
    return SessionView.model_validate(session)


@router.get("/orders", dependencies=[Depends(require_staff)])
async def list_orders(services: RequestServices) -> list[OrderView]:
    """Show the staff all orders, oldest first."""
    async with services.open_read_only() as session:
        orders = await session.scalars(select(Order).order_by(Order.id))
        return [OrderView.model_validate(order) for order in orders]


def create_app(
    payment_url: str,
    *,
    staff_password: str,
    payment_transport: httpx.AsyncBaseTransport | None = None,
) -> FastAPI:
    """Create the application.

    Args:
        payment_url: the base URL of the payment provider.
        staff_password: what a member of staff signs in with.
        payment_transport: what carries requests to the provider instead of the network.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Closed in reverse order at the end, after the receipts have gone out, whatever fails in between.
        async with AsyncManager("shop") as manager:
            await manager.register_resource(engine, "database")
            await create_schema()
            manager.session_factory = sessions
            client = httpx.AsyncClient(base_url=payment_url, transport=payment_transport)
            http = await manager.enter_resource(client, "payment provider")
            outbox = await manager.enter_resource(Outbox(), "outbox")
            receipts = ReceiptWorker(outbox)
            receipts.start()
            checkout = Checkout(PaymentClient(http), receipts)
            open_read_only = create_read_transaction_manager(sessions)
            desk = StaffDesk(staff_password)
            manager.create_task(run_daily(SETTLING_TIME, checkout.settle_pending), name="nightly")
            app.state.services = Services(manager, open_read_only, outbox, receipts, checkout, desk)
            yield

    app = FastAPI(title="Shop", lifespan=lifespan)
    app.include_router(router)
    return app
