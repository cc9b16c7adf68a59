"""What leaks, by rule: lines for a test or a fixture of an inner run, and what stands before them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CONNECTIONS", "EXAMPLES", "LOOPS", "STATE", "SYNC_EXAMPLES", "SYSTEM", "Family"]


@dataclass(frozen=True)
class Family:
    """Rules whose examples need the same set-up.

    Attributes:
        prelude: stands before the tests and fixtures.
        leaks: the lines, by rule.
        sync: those of the rules whose lines need no running loop.
        also: the rules that are reported besides.
    """

    prelude: str
    leaks: dict[str, str]
    sync: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


CONNECTIONS = Family(
    """
    import socket
    import subprocess
    import sys
    KEPT = []
    uno = pytest.mark.uno_async
    WAITS = [sys.executable, "-c", "input()"]
""",
    {
        "UNO401": "await asyncio.get_running_loop().create_datagram_endpoint("
        "asyncio.DatagramProtocol, ('127.0.0.1', 0))",
        "UNO402": "await asyncio.start_server(print, '127.0.0.1', 0)",
        "UNO403": "KEPT.append(subprocess.Popen(WAITS, stdin=subprocess.PIPE))",
        "UNO404": "KEPT.append(socket.socket())",
    },
    sync=("UNO403", "UNO404"),
)

LOOPS = Family(
    """
    import contextlib
    import socket
    KEPT = []
    uno = pytest.mark.uno_async
    async def ticks():
        for index in range(5):
            yield index
    @pytest.fixture(autouse=True, scope="session")
    def sockets():
        yield
        for thing in KEPT:
            if isinstance(thing, socket.socket):
                thing.close()
""",
    {
        "UNO202": "generator = ticks(); KEPT.append(generator); await anext(generator)",
        "UNO203": "asyncio.get_running_loop().call_later(60, print)",
        "UNO204": "KEPT.extend(socket.socketpair()); asyncio.get_running_loop().add_reader(KEPT[-1], print)",
        "UNO205": "KEPT.append(asyncio.new_event_loop())",
    },
    sync=("UNO205",),
    also=("UNO404",),  # the reader's sockets were not closed, either
)

SYSTEM = Family(
    """
    import concurrent.futures
    import os
    import threading
    KEPT = []
    STOP = threading.Event()
    uno = pytest.mark.uno_async
""",
    {
        "UNO405": "KEPT.append(open(__file__))",
        "UNO406": "KEPT.append(os.open(__file__, os.O_RDONLY))",
        "UNO407": "threading.Thread(target=STOP.wait, args=(5,), daemon=True).start()",
        "UNO408": "KEPT.append(concurrent.futures.ThreadPoolExecutor(1)); KEPT[-1].submit(int).result()",
    },
    sync=("UNO405", "UNO406", "UNO407", "UNO408"),
)

STATE = Family(
    """
    import contextvars
    import warnings
    import aiohttp
    import httpx
    KEPT = []
    TENANT = contextvars.ContextVar("tenant")
    uno = pytest.mark.uno_async
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        class Policy(asyncio.DefaultEventLoopPolicy): pass
""",
    {
        "UNO409": "KEPT.append(aiohttp.ClientSession())",
        "UNO502": "KEPT.append(asyncio.Lock()); await KEPT[-1].acquire()",
        "UNO504": "with warnings.catch_warnings():"
        " warnings.simplefilter('ignore', DeprecationWarning); asyncio.set_event_loop_policy(Policy())",
    },
)

EXAMPLES: dict[str, Family] = {
    rule: family for family in (CONNECTIONS, LOOPS, SYSTEM, STATE) for rule in family.leaks
}
SYNC_EXAMPLES = {rule: family for rule, family in EXAMPLES.items() if rule in family.sync}
