import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

import httpx
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import Response

from pytest_uno.database import SandboxConflict, SandboxError
from tests.database.library import Author, names
from tests.database.running import Run, sandboxed


def make_app(engine: AsyncEngine, *, with_middleware: bool = False) -> FastAPI:
    """Return an application that knows nothing of tests."""
    factory = async_sessionmaker(engine, expire_on_commit=False)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    async def get_session() -> AsyncGenerator[AsyncSession]:
        async with factory() as session:
            yield session

    app = FastAPI(lifespan=lifespan)
    Session = Annotated[AsyncSession, Depends(get_session)]  # noqa: N806

    async def log(name: str) -> None:
        async with factory() as session:
            session.add(Author(name=f"log of {name}"))
            await session.commit()

    async def add(name: str, session: Session, tasks: BackgroundTasks) -> dict[str, Any]:
        author = Author(name=name)
        session.add(author)
        await session.commit()
        tasks.add_task(log, name)
        return {"id": author.id}

    async def fail(name: str, session: Session) -> None:
        session.add(Author(name=name))
        await session.flush()
        raise HTTPException(409)

    async def crash(name: str, session: Session) -> None:
        session.add(Author(name=name))
        await session.flush()
        raise ZeroDivisionError

    async def list_names(session: Session) -> list[str]:
        return list((await session.scalars(select(Author.name).order_by(Author.name))).all())

    app.add_api_route("/authors/{name}", add, methods=["POST"])
    app.add_api_route("/fail/{name}", fail, methods=["POST"])
    app.add_api_route("/crash/{name}", crash, methods=["POST"])
    app.add_api_route("/authors", list_names, methods=["GET"])

    async def count_requests(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        async with factory() as session:
            await session.scalars(select(Author))
            response = await call_next(request)
            await session.rollback()
        return response

    if with_middleware:
        app.add_middleware(BaseHTTPMiddleware, dispatch=count_requests)
    return app


@contextlib.asynccontextmanager
async def client_of(app: FastAPI) -> AsyncGenerator[httpx.AsyncClient]:
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        yield client


@pytest.mark.parametrize("with_middleware", [False, True])
def test_requests_and_their_background_tasks_are_inside(run: Run, with_middleware: bool) -> None:
    async def main(engine: AsyncEngine) -> None:
        app = make_app(engine, with_middleware=with_middleware)
        for _ in range(2):
            async with sandboxed(engine):
                async with client_of(app) as client:
                    response = await client.post("/authors/Ann")
                    assert response.status_code == 200
                    assert (await client.get("/authors")).json() == ["Ann", "log of Ann"]
                assert await names(engine) == ["Ann", "log of Ann"]
        assert await names(engine) == []

    run(main)


@pytest.mark.parametrize("with_middleware", [False, True])
def test_eight_requests_at_once(run: Run, with_middleware: bool) -> None:
    async def main(engine: AsyncEngine) -> None:
        app = make_app(engine, with_middleware=with_middleware)
        async with sandboxed(engine) as sandbox, client_of(app) as client:
            responses = await asyncio.gather(*(client.post(f"/authors/a{number}") for number in range(8)))
            assert [response.status_code for response in responses] == [200] * 8
            assert len((await client.get("/authors")).json()) == 16
            assert len(sandbox.commits) == 16

    run(main)


def test_an_error_response_leaves_nothing(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine) as sandbox, client_of(make_app(engine)) as client:
            assert (await client.post("/fail/Ann")).status_code == 409
            with pytest.raises(ZeroDivisionError):
                await client.post("/crash/Bob")
            assert (await client.get("/authors")).json() == []
            assert [record.outcome for record in sandbox.discarded] == ["rollback"] * 2

    run(main)


def test_a_session_of_the_test_sees_what_the_application_commits(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine), client_of(make_app(engine)) as client, AsyncSession(engine) as session:
            assert (await session.scalars(select(Author.name))).all() == []
            await client.post("/authors/Ann")
            assert len((await session.scalars(select(Author.name))).all()) == 2

    run(main)


def test_uncommitted_rows_of_the_test_are_a_conflict_for_the_application(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with (
            sandboxed(engine, wait=0.05),
            client_of(make_app(engine)) as client,
            AsyncSession(engine) as session,
        ):
            await session.execute(insert(Author).values(name="Ann"))
            with pytest.raises(SandboxConflict, match="last SQL: INSERT INTO authors"):
                await client.get("/authors")
            await session.commit()
            assert (await client.get("/authors")).json() == ["Ann"]

    run(main)


def test_an_application_on_a_loop_of_its_own_in_a_thread(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async def post() -> int:
            async with client_of(make_app(engine)) as client:
                return (await client.post("/authors/Ann")).status_code

        async with sandboxed(engine):
            assert await names(engine) == []
            request = asyncio.to_thread(asyncio.run, post())
            if engine.dialect.driver == "aiosqlite":
                assert await request == 200
                assert await names(engine) == ["Ann", "log of Ann"]
            else:
                with pytest.raises(SandboxError, match="another event loop"):
                    await request

    run(main)


def _run_names(engine: AsyncEngine) -> list[str]:
    return asyncio.run(names(engine))


def test_threads_with_loops_of_their_own_take_turns(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        if engine.dialect.driver != "aiosqlite":
            return
        async with sandboxed(engine), engine.connect() as holder:
            await holder.execute(insert(Author).values(name="Ann"))
            other = asyncio.create_task(asyncio.to_thread(_run_names, engine))
            for _ in range(20):
                await asyncio.to_thread(int)
            await holder.commit()
            assert await other == ["Ann"]
            elsewhere = threading.Event()

            async def hold() -> None:
                async with engine.begin() as connection:
                    await connection.execute(insert(Author).values(name="Bob"))
                    elsewhere.set()
                    for _ in range(20):
                        await asyncio.to_thread(int)

            holding = asyncio.create_task(asyncio.to_thread(asyncio.run, hold()))
            await asyncio.to_thread(elsewhere.wait)
            assert await names(engine) == ["Ann", "Bob"]
            await holding

    run(main)
