"""A payment provider that lives in the process: for development and tests, without a network."""

from __future__ import annotations

from collections import deque

import httpx


class SandboxProvider:
    """Answers charges like the provider does: with success, unless told otherwise.

    Attributes:
        requests: what it was asked, oldest first.
    """

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._answers: deque[int | Exception] = deque()
        self.transport = httpx.MockTransport(self._answer)

    def answer_next(self, *answers: int | Exception) -> None:
        """Decide the next answers: HTTP status codes, or errors of the connection."""
        self._answers.extend(answers)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.popleft() if self._answers else 201
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer, json={"id": f"payment-{len(self.requests)}"})
