"""The client of the payment provider: requests are tried again while that can help, within a limit."""

from __future__ import annotations

import httpx
from pytest_uno import BackoffStrategy, retry, timeout


class PaymentDeclined(Exception):  # noqa: N818
    """The provider said no. Asking again will not help."""


class PaymentUnavailable(Exception):  # noqa: N818
    """The provider gave no answer. Whether the customer was charged is unknown."""


class PaymentClient:
    """Charges customers.

    Args:
        http: a client with the provider's base URL; it is used, not owned: its maker closes it.
        time_limit: seconds for one charge with all its attempts.
    """

    def __init__(self, http: httpx.AsyncClient, *, time_limit: float = 5.0) -> None:
        self._http = http
        self._time_limit = time_limit

    async def charge(self, order_id: int, amount: int) -> str:
        """Charge the customer of an order and return the provider's id of the payment.

        Raises:
            PaymentDeclined: the provider refused.
            PaymentUnavailable: the provider could not be reached, failed each time, or took too long.
        """
        try:
            async with timeout(self._time_limit, f"charging order {order_id}"):
                response = await self._post_charge(order_id, amount)
        except (TimeoutError, httpx.TransportError, httpx.HTTPStatusError) as error:
            raise PaymentUnavailable(str(error)) from error
        if response.status_code == httpx.codes.PAYMENT_REQUIRED:
            raise PaymentDeclined(f"payment of order {order_id} was declined")
        return str(response.json()["id"])

    # The idempotency key makes a second attempt safe: the provider charges once however often it is asked.
    @retry(
        max_attempts=3,
        retry_exceptions=(httpx.TransportError, httpx.HTTPStatusError),
        base_delay=0.05,
        backoff_strategy=BackoffStrategy.FULL_JITTER,
    )
    async def _post_charge(self, order_id: int, amount: int) -> httpx.Response:
        response = await self._http.post(
            "/charges",
            json={"amount": amount, "reference": f"order-{order_id}"},
            headers={"Idempotency-Key": f"order-{order_id}"},
        )
        if response.status_code != httpx.codes.PAYMENT_REQUIRED:
            response.raise_for_status()
        return response
