import time
import pytest
from pytest_uno.clock import VirtualClock
real = time.perf_counter
@pytest.mark.uno_async
async def test_x(checkout, receipts, uno_clock, session):
    from sqlalchemy import text
    await session.execute(text("update products set stock=100")); await session.commit()
    t=real()
    for _ in range(50):
        await checkout.buy(email="ada@example.org", sku="tea", quantity=1)
    print("TOOK", real()-t, getattr(uno_clock,'held',None), getattr(uno_clock,'held_by',None), uno_clock.jumps)
