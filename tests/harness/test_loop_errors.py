"""What the loop is told of goes to the user's exception handler where there is one."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("collected")


def test_exceptions_in_the_background_go_to_the_users_handler_when_it_is_set(project: Any) -> None:
    result = project.run(
        """
    @pytest.mark.uno_async
    async def test_it():
        seen = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: seen.append(context))
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)
        assert isinstance(seen[0]["exception"], ZeroDivisionError)
    """
    )
    assert project.outcomes(result) == {"passed": 1}


def test_loop_messages_without_an_exception_are_handed_on(project: Any) -> None:
    project.file(
        "conftest.py",
        """
    @pytest.fixture(scope="session")
    async def handler():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: print("HANDLED", context["message"]))
    """,
    )
    result = project.run(
        """
    @pytest.mark.uno_async
    async def test_default(caplog):
        asyncio.get_running_loop().call_exception_handler({"message": "only words"})
        assert "only words" in caplog.text

    @pytest.mark.uno_async
    async def test_users(handler, capsys):
        asyncio.get_running_loop().call_exception_handler({"message": "only words"})
        assert capsys.readouterr().out == "HANDLED only words\\n"
    """
    )
    assert project.outcomes(result) == {"passed": 2}
