"""The tables of the shop. Money is in cents."""

from __future__ import annotations

import enum
from datetime import UTC, datetime

from sqlalchemy import DateTime, ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Base of all tables."""


class OrderStatus(enum.StrEnum):
    """What has become of an order."""

    PENDING = "pending"  # reserved, not (or not known to be) paid
    PAID = "paid"
    CANCELLED = "cancelled"  # declined; the stock was given back


class Product(Base):
    """Something to sell."""

    __tablename__ = "products"

    sku: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    price: Mapped[int]
    stock: Mapped[int]


class Order(Base):
    """What a customer ordered."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    sku: Mapped[str] = mapped_column(ForeignKey("products.sku"))
    quantity: Mapped[int]
    total: Mapped[int]
    status: Mapped[OrderStatus] = mapped_column(default=OrderStatus.PENDING)
    payment_id: Mapped[str | None]
    # Always in UTC: SQLite drops the zone, and two dates compare rightly only if theirs were the same.
    placed_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), default=lambda: datetime.now(UTC), index=True
    )


class GiftCard(Base):
    """Money that somebody has paid for somebody else."""

    __tablename__ = "gift_cards"

    code: Mapped[str] = mapped_column(primary_key=True)
    balance: Mapped[int]
