"""The reference has an entry for each name that users type."""

from __future__ import annotations

import ast
import inspect
import json
import re
from dataclasses import fields
from importlib.resources import files
from pathlib import Path

import pytest

import pytest_uno
import pytest_uno.clock
import pytest_uno.core
import pytest_uno.explore
from pytest_uno.database import UnoDatabase
from pytest_uno.explore import ExplorationReport
from pytest_uno.explore.tokens import parse_token
from pytest_uno.harness import exploration_options, fixtures, marker, settings
from pytest_uno.harness.scenario_exploration import ScenarioExploration
from pytest_uno.leaks import policy
from pytest_uno.leaks.leak_watch import LeakWatch
from pytest_uno.leaks.rules import RULES

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def rows(text: str) -> list[str]:
    """Return the first cell of each row of the tables of a page."""
    return re.findall(r"^\| ([^|]+?) \|", text, re.MULTILINE)


def documented_names() -> list[str]:
    text = page("core.md") + page("exceptions.md")
    return re.findall(r"^\.\. (?:auto\w+|py:class):: pytest_uno\.(\w+)$", text, re.MULTILINE)


def test_public_names() -> None:
    assert sorted(documented_names()) == sorted(set(pytest_uno.__all__) - {"__version__"})


def test_core_hands_out_the_same_names() -> None:
    assert set(pytest_uno.core.__all__) == set(pytest_uno.__all__) - {"__version__"}


def test_names_of_the_clock() -> None:
    documented = re.findall(r"^\.\. auto\w+:: pytest_uno\.clock\.(\w+)$", page("clock.md"), re.MULTILINE)
    assert sorted(documented) == sorted(pytest_uno.clock.__all__)


def test_what_the_clock_is_said_to_do_exists() -> None:
    members = re.findall(r"^   \.\. auto(?:method|property):: (\w+)$", page("clock.md"), re.MULTILINE)
    assert members
    assert [name for name in members if not hasattr(pytest_uno.clock.VirtualClock, name)] == []
    steering = set(
        re.findall(r"`(?:await )?(\w+)\(.*?\)`", page("fixtures.md").partition("## `uno_leaks`")[0])
    )
    assert steering - {"get_async_manager"} <= set(members)


def test_members_of_uno_leaks() -> None:
    public = {name for name in vars(LeakWatch) if not name.startswith("_")}
    documented = documented_members("uno_leaks")
    assert documented == public - {"judge"}
    assert all(inspect.getdoc(getattr(LeakWatch, name)) for name in documented)


def test_members_of_uno_db() -> None:
    public = {name for name in vars(UnoDatabase) if not name.startswith("_")}
    documented = documented_members("uno_db")
    assert documented == public - {"continue_as"} | {"engines", "mode", "session_factory"}


def documented_members(fixture: str) -> set[str]:
    section = page("fixtures.md").partition(f"## `{fixture}`")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)(?:\(.*?\))?`", cell)}


def registered_options(config: pytest.Config) -> set[str]:
    parser = config._parser
    return {name for name in parser._inidict if name.startswith("uno_")}


def registered_flags(config: pytest.Config) -> set[str]:
    return {
        flag
        for action in config._parser.optparser._actions
        for flag in action.option_strings
        if flag.startswith("--uno")
    }


def test_options(pytestconfig: pytest.Config) -> None:
    documented = {cell.strip("`") for cell in rows(page("options.md"))} - {"ini option", "---"}
    assert documented == registered_options(pytestconfig)


def test_options_are_explained(pytestconfig: pytest.Config) -> None:
    explained = re.findall(r"^`(uno_\w+)`\n: ", page("options.md"), re.MULTILINE)
    assert set(explained) == registered_options(pytestconfig)


def test_flags(pytestconfig: pytest.Config) -> None:
    assert set(re.findall(r"`(--uno[a-z-]*)`", page("options.md"))) == registered_flags(pytestconfig)


def test_defaults_of_options(pytestconfig: pytest.Config) -> None:
    for line in page("options.md").splitlines():
        cells = [cell.strip(" `") for cell in line.strip("|").split("|")]
        if cells[0].startswith("uno_") and len(cells) == 4:
            default = pytestconfig._parser._inidict[cells[0]][2]
            shown = str(default).lower() if isinstance(default, bool) else default or "none"
            assert cells[3] == shown, cells[0]


def test_marker_keys() -> None:
    documented = {cell.strip("`=") for cell in rows(page("marker.md"))} - {"key", "---"}
    assert documented == set(marker._KEYS)
    assert all(f"{key}=" in marker.MARKER_HELP for key in documented)


def test_values_of_marker_keys() -> None:
    for key, values in {
        "clock": settings.CLOCKS,
        "leaks": policy.LEVELS,
        "delay": exploration_options.DELAYS,
    }.items():
        row = re.search(rf"^\| `{key}=` \| ([^|]+) \|", page("marker.md"), re.MULTILINE)
        assert row is not None
        assert list(dict.fromkeys(re.findall(r"`\"(\w+)\"`", row[1]))) == list(values)


def test_defaults_of_exploration() -> None:
    defaults = dict(exploration_options.ExplorationOptions._field_defaults)
    assert list(defaults) == list(exploration_options.EXPLORATION_KEYS)
    assert defaults.pop("delay") == exploration_options.DELAYS
    assert defaults.pop("schedules")  # of `uno_explore`; a test is not explored unless it says so
    for key, default in defaults.items():
        row = re.search(rf"^\| `{key}=` \| [^|]+ \| `(\w+)` \|", page("marker.md"), re.MULTILINE)
        assert row is not None, key
        assert ast.literal_eval(row[1]) == default


def test_arguments_of_uno_explore() -> None:
    shown = re.search(r"by keyword, (`.+`), and returns", page("fixtures.md"))
    assert shown is not None
    parameters = inspect.signature(ScenarioExploration.__call__).parameters.values()
    of_explore = inspect.signature(pytest_uno.explore.explore).parameters
    keywords = [one for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]
    assert all(one.default == of_explore[one.name].default for one in keywords)
    assert f"call({shown[1].replace('`', '')})" == f"call({', '.join(map(_as_argument, keywords))})"


def _as_argument(parameter: inspect.Parameter) -> str:
    return f"{parameter.name}={parameter.default!r}".replace("'", '"')


def test_names_of_exploration() -> None:
    text = page("exploration.md") + page("cancel-and-fault-safety.md")
    documented = re.findall(r"^\.\. auto\w+:: pytest_uno\.explore\.(\w+)$", text, re.MULTILINE)
    assert sorted(documented) == sorted(pytest_uno.explore.__all__)


def test_tokens_are_tokens() -> None:
    table = page("exploration.md").partition("| token | replays |")[2].partition("\n\n")[0]
    tokens = [cell.strip("`") for cell in rows(table) if cell.startswith("`")]
    assert tokens
    for token in tokens:
        assert parse_token(token).text == token


def test_members_of_the_report_are_explained() -> None:
    explained = re.findall(r"^    (\w+): ", inspect.getdoc(ExplorationReport) or "", re.MULTILINE)
    assert explained == [field.name for field in fields(ExplorationReport)]


def test_fixtures() -> None:
    public = [name for name in vars(fixtures) if name.startswith("uno_")]
    assert public
    assert re.findall(r"^## `(\w+)`$", page("fixtures.md"), re.MULTILINE) == public


def test_fixtures_have_a_docstring() -> None:
    for name in re.findall(r"^## `(\w+)`$", page("fixtures.md"), re.MULTILINE):
        assert inspect.getdoc(getattr(fixtures, name))


@pytest.mark.parametrize("code", sorted(RULES))
def test_rule(code: str) -> None:
    rule = RULES[code]
    text = page(f"leaks/{code}.md")
    assert text.startswith(f"# {code} {rule.name}\n")
    for heading in ("Why it matters", "Example", "Fix", "Allow it"):
        assert f"\n## {heading}\n" in text, heading
    assert text.count("```console\n$ pytest") >= 2, "the leak and the fix must both be run"
    assert ("It is a warning by default" in text) == (rule.level == "warn")
    assert f"| [{code} {rule.name}]({code}.md) | {rule.title} |" in page("leaks/index.md")


def test_no_page_of_an_unknown_rule() -> None:
    assert {path.stem for path in (REFERENCE / "leaks").glob("UNO*.md")} == set(RULES)


def test_report_members() -> None:
    schema = json.loads(files("pytest_uno.reports").joinpath("leaks-1.schema.json").read_text("utf-8"))
    documented = set(re.findall(r"`(\w+)`", "\n".join(rows(page("report-json.md")))))
    members = set(schema["properties"]) | set(schema["$defs"]["leak"]["properties"])
    assert members - {"$schema"} <= documented
