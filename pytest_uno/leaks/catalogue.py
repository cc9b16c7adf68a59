"""The detectors that stand beside the first ones, in the order in which they are asked."""

from __future__ import annotations

from pytest_uno.leaks.async_generators import OpenGenerators
from pytest_uno.leaks.contexts import Contexts
from pytest_uno.leaks.descriptors import Descriptors
from pytest_uno.leaks.event_loops import EventLoops
from pytest_uno.leaks.executors import Executors
from pytest_uno.leaks.files import Files
from pytest_uno.leaks.http_sessions import HttpSessions
from pytest_uno.leaks.judging import FurtherDetector, Ledger
from pytest_uno.leaks.locks import Locks
from pytest_uno.leaks.policies import Policies
from pytest_uno.leaks.readers_and_signals import Registrations
from pytest_uno.leaks.sites import Sites
from pytest_uno.leaks.task_births import TaskBirths
from pytest_uno.leaks.thread_origins import ThreadOrigins
from pytest_uno.leaks.threads import Threads
from pytest_uno.leaks.timers import Timers

__all__ = ["make_further_detectors"]


def make_further_detectors(sites: Sites, births: TaskBirths, ledger: Ledger) -> tuple[FurtherDetector, ...]:
    """Make them: what explains other things comes before those.

    Args:
        sites: records the sites.
        births: knows the tasks, and the test that runs.
        ledger: takes what comes up between judgements.
    """
    origins = ThreadOrigins()
    executors = Executors(sites, births, origins)
    descriptors = Descriptors(sites, births, origins)
    return (
        EventLoops(sites, births, ledger),
        HttpSessions(sites, births, ledger),
        OpenGenerators(sites, births, ledger),
        Locks(sites, births),
        Policies(sites, births),
        Contexts(sites),
        Registrations(sites, births),
        Timers(sites, births),
        executors,
        Threads(sites, births, origins, executors),
        Files(sites, births, origins, descriptors),
        descriptors,
    )
