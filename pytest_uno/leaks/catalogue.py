"""The detectors that stand beside the first ones, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from pytest_uno.leaks.blocking.blocked_loop import BlockedLoop
from pytest_uno.leaks.judging import FurtherDetector, Ledger
from pytest_uno.leaks.loops.async_generators import OpenGenerators
from pytest_uno.leaks.loops.event_loops import EventLoops
from pytest_uno.leaks.loops.readers_and_signals import Registrations
from pytest_uno.leaks.loops.timers import Timers
from pytest_uno.leaks.network.http_sessions import HttpSessions
from pytest_uno.leaks.network.servers import OpenServers
from pytest_uno.leaks.network.sockets import OpenSockets
from pytest_uno.leaks.network.transports import OpenTransports
from pytest_uno.leaks.sites import Sites
from pytest_uno.leaks.state.contexts import Contexts
from pytest_uno.leaks.state.locks import Locks
from pytest_uno.leaks.state.policies import Policies
from pytest_uno.leaks.system.descriptors import Descriptors
from pytest_uno.leaks.system.executors import Executors
from pytest_uno.leaks.system.files import Files
from pytest_uno.leaks.system.subprocesses import OpenProcesses
from pytest_uno.leaks.system.thread_origins import ThreadOrigins
from pytest_uno.leaks.system.threads import Threads
from pytest_uno.leaks.tasks.swallowed_cancellations import SwallowedCancellations
from pytest_uno.leaks.tasks.task_births import TaskBirths

__all__ = ["DetectorFactory", "make_further_detectors"]

DetectorFactory: TypeAlias = Callable[[Sites, TaskBirths, Ledger], FurtherDetector]
"""Makes a detector that a higher layer brings."""


def make_further_detectors(
    sites: Sites,
    births: TaskBirths,
    ledger: Ledger,
    block_ms: float = 0.0,
    others: Iterable[DetectorFactory] = (),
) -> tuple[FurtherDetector, ...]:
    """Make them: what explains other things comes before those.

    Args:
        sites: records the sites.
        births: knows the tasks, and the test that runs.
        ledger: takes what comes up between judgements.
        block_ms: real milliseconds for which a callback may keep a loop from running; 0 for any number.
        others: make the detectors of higher layers, whose things explain connections, sockets and threads.
    """
    sockets = OpenSockets(sites, births, ledger)
    servers = OpenServers(sites, births, ledger, sockets)
    origins = ThreadOrigins()
    executors = Executors(sites, births, origins)
    descriptors = Descriptors(sites, births, origins)
    return (
        SwallowedCancellations(sites, births, ledger),
        EventLoops(sites, births, ledger),
        OpenGenerators(sites, births, ledger),
        *(make(sites, births, ledger) for make in others),
        HttpSessions(sites, births, ledger),
        servers,
        OpenTransports(sites, births, ledger, servers, sockets),
        OpenProcesses(sites, births, ledger),
        Locks(sites, births),
        Contexts(sites),
        Policies(sites, births),
        Registrations(sites, births),
        Timers(sites, births),
        sockets,
        executors,
        Threads(sites, births, origins, executors),
        Files(sites, births, origins, descriptors),
        descriptors,
        BlockedLoop(sites, births, ledger, block_ms / 1000),
    )
