"""The options of the ini file and the command line, parsed once into one frozen object."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pytest_uno.core.errors import compose_message
from pytest_uno.harness.database_options import (
    DATABASE_INI_OPTIONS,
    DATABASE_MODES,
    add_database_flags,
    read_database_settings,
)
from pytest_uno.harness.exploration_options import (
    ExplorationFlags,
    add_exploration_flags,
    read_exploration_flags,
)
from pytest_uno.harness.leak_policy_options import (
    LEAK_POLICY_INI_OPTIONS,
    LeakPolicySettings,
    add_leak_policy_flags,
    read_leak_policy,
)
from pytest_uno.harness.pytest_internals import ini_keys
from pytest_uno.harness.report_targets import ReportTarget, read_targets
from pytest_uno.leaks.policy import LEVELS, Layer, LeakLevels, make_levels, read_line
from pytest_uno.reports.formats import FORMATS

if TYPE_CHECKING:
    from pytest_uno.database.settings import DatabaseSettings

__all__ = ["CLOCKS", "SETTINGS", "Settings", "add_options", "parse_settings"]

MODES = ("strict", "auto")
CLOCKS = ("virtual", "real")

_INI_OPTIONS: tuple[tuple[str, str, str, Any], ...] = (
    ("uno_async_mode", "string", "strict: marked tests only; auto: every async test", "strict"),
    ("uno_clock", "string", "the clock of uno tests: virtual or real", "virtual"),
    ("uno_timeout", "string", "seconds of its clock after which a uno test fails; 0: never", "0"),
    ("uno_real_timeout", "string", "real seconds after which a uno test is stopped; 0: never", "0"),
    (
        "uno_block_ms",
        "string",
        "real milliseconds for which a callback may block the loop; 0: for ever",
        "200",
    ),
    ("uno_leaks", "string", "what a leak does: error, warn or off", "error"),
    ("uno_leak_levels", "linelist", "levels of single rules or families, one RULE = LEVEL a line", ()),
    (
        "uno_report",
        "linelist",
        f"leak reports to make, one FORMAT[:PATH] a line; FORMAT is one of {', '.join(FORMATS)}",
        (),
    ),
    *LEAK_POLICY_INI_OPTIONS,
    *DATABASE_INI_OPTIONS,
)


class Settings(NamedTuple):
    """What the user asked for, for the whole run."""

    mode: str
    clock: str
    timeout: float
    real_timeout: float
    block_ms: float
    """Real milliseconds for which a callback may block the loop; 0 for any number."""
    leak_layers: tuple[Layer, Layer]
    """What the ini file and the command line say about the levels of leaks."""
    leak_levels: LeakLevels
    """Both of them, without any marker: for the fixtures that are wider than a test."""
    leak_policy: LeakPolicySettings
    reports: tuple[ReportTarget, ...]
    database: DatabaseSettings
    exploration: ExplorationFlags
    flags: frozenset[str]
    """The options given on the command line: there they beat the marker of a test."""


SETTINGS: pytest.StashKey[Settings] = pytest.StashKey()


def add_options(parser: pytest.Parser) -> None:
    """Register the ini options and the command line flags."""
    for name, kind, text, default in _INI_OPTIONS:
        parser.addini(name, text, type=kind, default=default)  # type: ignore[arg-type]
    group = parser.getgroup("uno", "pytest-uno: async tests without leaks")
    group.addoption(
        "--uno-async-mode",
        default=None,
        metavar="MODE",
        help="strict: marked tests only; auto: every async test",
    )
    group.addoption(
        "--uno-clock", default=None, metavar="CLOCK", help="the clock of uno tests: virtual or real"
    )
    group.addoption(
        "--uno-timeout",
        default=None,
        metavar="SECONDS",
        help="seconds of its clock after which a uno test fails with a picture of its tasks; 0: never",
    )
    group.addoption(
        "--uno-real-timeout",
        default=None,
        metavar="SECONDS",
        help="real seconds after which a uno test is stopped with a picture of its tasks; 0: never",
    )
    group.addoption(
        "--uno-block-ms",
        default=None,
        metavar="MS",
        help="real milliseconds after which a callback that blocks the loop is reported (UNO601); 0: never",
    )
    group.addoption("--uno-leaks", default=None, metavar="LEVEL", help="what a leak does: error, warn or off")
    group.addoption(
        "--uno-leak-level",
        action="append",
        default=None,
        dest="uno_leak_levels",
        metavar="RULE=LEVEL",
        help="the level of a rule or family, for example UNO103=warn or UNO4xx=off; may be repeated",
    )
    group.addoption(
        "--uno-report",
        action="append",
        default=None,
        metavar="FORMAT[:PATH]",
        help=f"make a leak report, for example html:leaks.html; may be repeated. Formats: {', '.join(FORMATS)}",
    )
    add_leak_policy_flags(group)
    add_database_flags(group)
    add_exploration_flags(group)


def parse_settings(config: pytest.Config) -> Settings:
    """Read and check every option of the run.

    Raises:
        pytest.UsageError: an option has a value that it does not take, or an ini option starting with `uno_` does
            not exist.
    """
    _refuse_unknown_ini_options(config)
    flags = frozenset(name for name, *_ in _INI_OPTIONS if config.getoption(name, None) is not None)
    leaks = _choice(config, "uno_leaks", LEVELS)
    of_ini, of_flags = _leak_levels(config)
    leak_layers = (
        (Layer(None, of_ini), Layer(leaks, of_flags))
        if "uno_leaks" in flags
        else (Layer(leaks, of_ini), Layer(None, of_flags))
    )
    return Settings(
        mode=_choice(config, "uno_async_mode", MODES),
        clock=_choice(config, "uno_clock", CLOCKS),
        timeout=_duration(config, "uno_timeout", "seconds"),
        real_timeout=_duration(config, "uno_real_timeout", "seconds"),
        block_ms=_duration(config, "uno_block_ms", "milliseconds"),
        leak_layers=leak_layers,
        leak_levels=make_levels(*leak_layers),
        leak_policy=read_leak_policy(config),
        reports=read_targets(config),
        database=read_database_settings(
            config,
            mode=_choice(config, "uno_db_mode", DATABASE_MODES),
            wait=_duration(config, "uno_db_wait", "seconds"),
        ),
        exploration=read_exploration_flags(config),
        flags=flags,
    )


def suggest(word: str, known: Sequence[str]) -> str:
    """Return `did you mean ...? ` for a misspelt word, or nothing."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}? " if close else ""


def _value(config: pytest.Config, name: str) -> tuple[Any, str]:
    given = config.getoption(name, None)
    if given is not None:
        return given, "--" + name.replace("_", "-")
    return config.getini(name), f"ini option {name}"


def _choice(config: pytest.Config, name: str, allowed: tuple[str, ...]) -> str:
    value, where = _value(config, name)
    if value not in allowed:
        raise pytest.UsageError(
            compose_message(
                f"{where}: {value!r} is not one of {', '.join(allowed)}",
                fix=suggest(str(value), allowed) + f"use {' or '.join(allowed)}",
                anchor="bad-option",
            )
        )
    return str(value)


def _duration(config: pytest.Config, name: str, unit: str) -> float:
    value, where = _value(config, name)
    try:
        duration = float(value)
        if not 0 <= duration < float("inf"):
            raise ValueError
    except ValueError:
        raise pytest.UsageError(
            compose_message(
                f"{where}: {value!r} is not a number of {unit}",
                fix=f"give {unit} as a number of at least 0; 0 switches it off",
                anchor="bad-option",
            )
        ) from None
    return duration


def _leak_levels(config: pytest.Config) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Read the levels of rules, those of the ini file and those of the command line."""
    given: list[tuple[tuple[str, str], ...]] = []
    for lines, where in (
        (config.getini("uno_leak_levels"), "ini option uno_leak_levels"),
        (config.getoption("uno_leak_levels", None) or (), "--uno-leak-level"),
    ):
        try:
            given.append(tuple(read_line(line) for line in lines))
        except ValueError as error:
            text = ", ".join(repr(line) for line in lines)
            raise pytest.UsageError(
                compose_message(f"{where}: cannot take {text}", fix=str(error), anchor="bad-option")
            ) from None
    return tuple(given)


def _refuse_unknown_ini_options(config: pytest.Config) -> None:
    known = [name for name, *_ in _INI_OPTIONS]
    for key in ini_keys(config):
        if key.startswith("uno_") and key not in known:
            raise pytest.UsageError(
                compose_message(
                    f"unknown ini option {key!r} in {config.inipath}",
                    fix=suggest(key, known) + f"known options: {', '.join(known)}",
                    anchor="unknown-ini-option",
                )
            )
