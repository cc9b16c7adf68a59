"""The `pytest11` entry point: options, markers, registration.

Nothing heavy is imported here, and a project without a uno test gets nothing but this: the rest of the harness is
registered when the first test is adopted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_uno.core.errors import compose_message
from pytest_uno.core.paused_collections import collections_paused
from pytest_uno.harness.adoption import Adoption
from pytest_uno.harness.marker import MARKER_HELP
from pytest_uno.harness.pytest_internals import RUNNER_MODULE, check_pytest_asyncio
from pytest_uno.harness.run_scope import RunScope
from pytest_uno.harness.settings import SETTINGS, Settings, add_options, parse_settings

if TYPE_CHECKING:
    from pytest_uno.harness.collector import LeakCollector

__all__: list[str] = []

_COLLECTOR = "uno-collector"
_RUN_SCOPE = "uno-run-scope"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Load pytest-asyncio where plugins are not loaded by themselves (`PYTEST_DISABLE_PLUGIN_AUTOLOAD`)."""
    plugins = early_config.pluginmanager
    loaded = any(getattr(plugin, "__name__", "") == RUNNER_MODULE for plugin in plugins.get_plugins())
    if not loaded and not plugins.is_blocked("asyncio"):
        import pytest_asyncio.plugin

        plugins.register(pytest_asyncio.plugin, "asyncio")


def pytest_configure(config: pytest.Config) -> None:
    """Read the settings, register the marker and the part of the harness that collection needs."""
    config.addinivalue_line("markers", MARKER_HELP)
    settings = config.stash[SETTINGS] = parse_settings(config)
    blocked = config.pluginmanager.is_blocked("asyncio")
    if blocked and settings.mode == "auto":
        raise pytest.UsageError(
            compose_message(
                "uno_async_mode = auto needs pytest-asyncio, which is switched off",
                cause="-p no:asyncio on the command line, in addopts or in PYTEST_ADDOPTS",
                fix="remove -p no:asyncio, or set uno_async_mode = strict",
                anchor="asyncio-blocked",
            )
        )
    plugins = config.pluginmanager
    plugins.register(RunScope(config), _RUN_SCOPE)  # it has to see the collection from its beginning
    if _is_worker(config):
        from pytest_uno.harness.leak_policy import take_known_leaks

        take_known_leaks(config)
    elif _has_something_to_report(config, settings):
        _register_reports(config)
    plugins.register(
        Adoption(
            asyncio_blocked=blocked,
            takes_unmarked=settings.mode == "auto",
            on_first_test=lambda: _register_harness(config),
        ),
        "uno-adoption",
    )
    if settings.mode == "auto":  # sync tests may ask for async fixtures there, whether or not a test is ours
        _register_harness(config)
    if not blocked:
        from pytest_uno.harness import fixtures

        plugins.register(fixtures, "uno-fixtures")


@collections_paused()  # to load the harness makes tens of thousands of objects, and none of them is garbage
def _register_harness(config: pytest.Config) -> None:
    """Register what runs tests, with the first test that there is."""
    if config.pluginmanager.has_plugin("uno-harness-runner"):
        return
    check_pytest_asyncio()
    from pytest_uno.harness.async_fixtures import AsyncFixtures
    from pytest_uno.harness.fixtures import TEST_RUNNER
    from pytest_uno.harness.leak_policy import LeakPolicy
    from pytest_uno.harness.run_state import RunState
    from pytest_uno.harness.runner import TestRunner
    from pytest_uno.harness.verdict import Verdicts

    if not _is_worker(config):
        _register_reports(config).listen()
    run = RunState(config)
    verdicts = Verdicts(LeakPolicy(config, run.settings.leak_policy.allowances))
    config.stash[TEST_RUNNER] = test_runner = TestRunner(run, verdicts)
    for name, plugin in (("fixtures", AsyncFixtures(run)), ("verdicts", verdicts), ("runner", test_runner)):
        config.pluginmanager.register(plugin, f"uno-harness-{name}")


def _is_worker(config: pytest.Config) -> bool:
    """Say whether this is a worker of pytest-xdist, whose reports reach the controller."""
    return hasattr(config, "workerinput")


def _has_something_to_report(config: pytest.Config, settings: Settings) -> bool:
    """Say whether a run may have something to report although it meets no uno test, or not in this process."""
    option, policy = config.option, settings.leak_policy
    has_workers = getattr(option, "dist", "no") != "no" or bool(getattr(option, "tx", None))
    return bool(settings.reports or policy.allowances or policy.baseline or has_workers)


def _register_reports(config: pytest.Config) -> LeakCollector:
    """Register what gathers leaks and reports them, unless it is there."""
    from pytest_uno.harness.collector import LeakCollector
    from pytest_uno.harness.exploration_summary import ExplorationSummary
    from pytest_uno.harness.policy_report import PolicyReport

    plugins = config.pluginmanager
    collector = plugins.get_plugin(_COLLECTOR)
    if not isinstance(collector, LeakCollector):
        scope = plugins.get_plugin(_RUN_SCOPE)
        assert isinstance(scope, RunScope)
        exploration = ExplorationSummary(config)
        collector = LeakCollector(config, PolicyReport(config, scope), exploration)
        plugins.register(collector, _COLLECTOR)
        plugins.register(exploration, "uno-exploration-summary")
    return collector
