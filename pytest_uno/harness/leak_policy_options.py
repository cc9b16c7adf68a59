"""The options of what may leak, and of the baseline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pytest_uno.core.errors import compose_message

if TYPE_CHECKING:
    from pytest_uno.leaks.allowances import Allowance, Allowances

__all__ = ["LEAK_POLICY_INI_OPTIONS", "LeakPolicySettings", "add_leak_policy_flags", "read_leak_policy"]

LEAK_POLICY_INI_OPTIONS: tuple[tuple[str, str, str, Any], ...] = (
    ("uno_leak_allow", "linelist", "what may leak, one RULE FILE::FUNCTION: reason a line", ()),
    ("uno_leak_baseline", "string", "the file of the known leaks, which do not fail the run", ""),
)


class LeakPolicySettings(NamedTuple):
    """What the user says of leaks that do not fail the run.

    Attributes:
        allowances: what may leak in every test and fixture.
        baseline: the file of the known leaks; None without any.
        writes_baseline: whether what this run finds becomes known.
    """

    allowances: Allowances = ()
    baseline: Path | None = None
    writes_baseline: bool = False


def add_leak_policy_flags(group: pytest.OptionGroup) -> None:
    """Register the command line flags.

    Args:
        group: where.
    """
    group.addoption(
        "--uno-leak-baseline",
        default=None,
        metavar="FILE",
        help="the file of the known leaks, which do not fail the run",
    )
    group.addoption(
        "--uno-leak-baseline-write",
        action="store_true",
        default=False,
        help="let every leak that is found become known: write it to the baseline; drop what is not there any more",
    )


def read_leak_policy(config: pytest.Config) -> LeakPolicySettings:
    """Read and check the options; the baseline itself is read when the run begins.

    Args:
        config: the configuration of the run.

    Raises:
        pytest.UsageError: an option has a value that it does not take.
    """
    baseline, writes = _baseline(config), bool(config.getoption("uno_leak_baseline_write", False))
    if writes and baseline is None:
        raise pytest.UsageError(
            compose_message(
                "--uno-leak-baseline-write: no baseline to write",
                fix="name the file: --uno-leak-baseline leaks-baseline.json, or ini option uno_leak_baseline",
                anchor="bad-option",
            )
        )
    return LeakPolicySettings(_allowances(config), baseline, writes)


def _allowances(config: pytest.Config) -> Allowances:
    given: dict[str, None] = dict.fromkeys(config.getini("uno_leak_allow"))
    if not given:
        return ()
    from pytest_uno.leaks.allowances import read_allowance  # few projects need it

    read: list[Allowance] = []
    for line in given:
        try:
            read.append(read_allowance(line, needs_all=True))
        except ValueError as error:
            raise pytest.UsageError(
                compose_message(
                    f"ini option uno_leak_allow: cannot take {line!r}", fix=str(error), anchor="bad-option"
                )
            ) from None
    return tuple(read)


def _baseline(config: pytest.Config) -> Path | None:
    flag: str | None = config.getoption("uno_leak_baseline", None)
    given: str = config.getini("uno_leak_baseline") if flag is None else flag
    if not given.strip():
        if flag is not None:
            raise pytest.UsageError(
                compose_message(
                    "--uno-leak-baseline: no file is named",
                    fix="name the file: --uno-leak-baseline leaks-baseline.json",
                    anchor="bad-option",
                )
            )
        return None
    if flag is not None:
        return config.invocation_params.dir / flag
    folder = config.rootpath if config.inipath is None else config.inipath.parent
    return folder / given
