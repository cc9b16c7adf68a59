"""What the shop sells."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from shop.models import Product


async def fill_shelves(session: AsyncSession) -> None:
    """Put the first goods on the shelves of a new shop."""
    session.add(Product(sku="tea", name="Tea", price=450, stock=10))
