"""The catalogue of rules. A code never changes its meaning.

UNO1xx tasks, UNO2xx coroutines, generators and loop handles, UNO3xx database, UNO4xx files, sockets,
processes and threads, UNO5xx resources and state, UNO6xx a blocked loop, UNO9xx the harness itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from pytest_uno.core.errors import docs_url

__all__ = ["FAMILIES", "RULES", "Rule"]

FAMILIES = ("UNO1xx", "UNO2xx", "UNO3xx", "UNO4xx", "UNO5xx", "UNO6xx", "UNO9xx")
"""What stands for every rule of a range, also for those that a later version adds."""


class Rule(NamedTuple):
    """One kind of leak.

    Attributes:
        code: the code, as "UNO101".
        name: the short name, as "pending-task".
        title: what is wrong, one phrase.
        fix: what to do about it, one sentence without a full stop.
        level: what it does where nobody says otherwise: "warn" for what a library may be to blame for.
    """

    code: str
    name: str
    title: str
    fix: str
    level: str = "error"

    @property
    def docs(self) -> str:
        """The address of the rule's page."""
        return docs_url(f"reference/leaks/{self.code}")


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        rule.code: rule
        for rule in (
            Rule(
                "UNO101",
                "pending-task",
                "a task was not done when its owner ended",
                "await it, cancel it in the fixture that owns it, or start it with manager.task_group()",
            ),
            Rule(
                "UNO102",
                "unretrieved-exception",
                "a task or future failed and nobody looked at its exception",
                "await it, or handle the exception in a done callback that calls `exception()`",
            ),
            Rule(
                "UNO103",
                "swallowed-cancellation",
                "a task was cancelled and returned normally",
                "end the `except CancelledError` with `raise`, or clean up in `finally`; who means to go on calls "
                "`asyncio.current_task().uncancel()`",
                level="warn",
            ),
            Rule(
                "UNO104",
                "loop-error",
                "an exception that only the event loop's exception handler saw",
                "catch the exception in the callback, or run the work in a task that somebody awaits",
            ),
            Rule(
                "UNO201",
                "never-awaited",
                "a coroutine was made and never awaited",
                "put `await` before the call, or hand it to a task; `close()` it if it is not wanted",
            ),
            Rule(
                "UNO202",
                "open-asyncgen",
                "an async generator was begun and then left suspended",
                "iterate it in `async with contextlib.aclosing(...)`, or call `await generator.aclose()`",
            ),
            Rule(
                "UNO203",
                "timer",
                "a timer was still scheduled when its owner ended",
                "keep the handle that `call_later` returns, and `cancel()` it",
            ),
            Rule(
                "UNO204",
                "reader-or-signal",
                "a reader, writer or signal handler of the event loop was not removed",
                "call `remove_reader`, `remove_writer` or `remove_signal_handler` in a `finally`, "
                "before the descriptor is closed",
            ),
            Rule(
                "UNO205",
                "event-loop",
                "an event loop was made and not closed",
                "use `asyncio.run` or `with asyncio.Runner()`, or `close()` the loop in a `finally`",
            ),
            Rule(
                "UNO301",
                "open-session",
                "a session of SQLAlchemy was left with its transaction open",
                "use `async with AsyncSession(...)`, or take the fixture `uno_session`, which rolls back and closes",
            ),
            Rule(
                "UNO302",
                "open-transaction",
                "a connection of SQLAlchemy was left with its transaction open",
                "use `async with engine.begin()`, or `close()` the connection in a `finally`",
            ),
            Rule(
                "UNO303",
                "open-connection",
                "a connection was taken from a pool of SQLAlchemy and not given back",
                "use `async with engine.connect()`, or `close()` the connection in a `finally`",
            ),
            Rule(
                "UNO304",
                "engine",
                "an engine of SQLAlchemy was not disposed of while it had open connections",
                "call `await engine.dispose()` in the fixture that makes the engine",
            ),
            Rule(
                "UNO401",
                "transport",
                "a connection, datagram endpoint or pipe of asyncio was not closed",
                "`close()` the writer or transport in a `finally`, and await `wait_closed()` of a writer",
            ),
            Rule(
                "UNO402",
                "server",
                "a server was not closed",
                "use `async with` around the server, or `close()` it in the fixture that starts it",
            ),
            Rule(
                "UNO403",
                "subprocess",
                "a process was started and nobody waited for its end",
                "await `wait()` or `communicate()`, after a `terminate()` if it does not end by itself; "
                "use `with` around a `subprocess.Popen`",
            ),
            Rule(
                "UNO404",
                "socket",
                "a socket was opened and not closed",
                "use `with` around the socket, or `close()` it in a `finally`",
            ),
            Rule(
                "UNO405",
                "file",
                "a file was opened and not closed",
                "open it with `with`, or `close()` it in a `finally`",
            ),
            Rule(
                "UNO406",
                "fd",
                "a file descriptor was opened and not closed",
                "call `os.close` in a `finally`, or hand it to `os.fdopen` at once",
            ),
            Rule(
                "UNO407",
                "thread",
                "a thread was still running when its owner ended",
                "tell it to end and `join()` it, in the fixture that started it",
            ),
            Rule(
                "UNO408",
                "executor",
                "an executor was not shut down",
                "use it in `with`, or call `shutdown()` in the fixture that made it",
            ),
            Rule(
                "UNO409",
                "http-session",
                "an HTTP client was not closed",
                "use `async with` around the client, or close it in the fixture that makes it",
            ),
            Rule(
                "UNO501",
                "resource",
                "a resource of a manager was still open when its owner ended",
                "use `async with`, or shut the manager that holds it down with `await manager.shutdown()`",
            ),
            Rule(
                "UNO502",
                "lock",
                "a lock or semaphore was still held when its owner ended",
                "use `async with` around what it protects, or `release()` it in a `finally`",
            ),
            Rule(
                "UNO503",
                "context",
                "a context variable was set for good, so that later tests see its value",
                "keep the token that `set()` returns, and `reset()` the variable after the `yield` of the fixture",
            ),
            Rule(
                "UNO504",
                "policy",
                "the event loop policy was changed and not put back",
                "put it back in a `finally`, or better hand a `loop_factory` to `asyncio.Runner`",
            ),
            Rule(
                "UNO601",
                "blocked-loop",
                "a callback kept the event loop from running for too long",
                "await an async version of the call, or hand it to `asyncio.to_thread`, a long computation to a pool "
                "of processes",
                level="warn",
            ),
            Rule(
                "UNO901",
                "unchecked",
                "the harness could not check a test",
                "leave the event loop of the test open: it ends with the test by itself",
            ),
        )
    }
)
"""Every rule by its code, in the order of the codes."""
