"""The README's two commands are two, and name environments that exist."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    """Return the lines of the README's shell block."""
    blocks = re.findall(r"^```sh\n(.+?)^```$", README, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    return str(blocks[0]).splitlines()


def environments() -> set[str]:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    named = {name.removeprefix("testenv:") for name in tox.sections() if name.startswith("testenv:")}
    return named | {name.strip() for name in tox["tox"]["env_list"].split(",")}


def test_there_are_exactly_two_commands() -> None:
    assert commands() == [
        "python3 -m venv .venv && .venv/bin/pip install -q tox && .venv/bin/tox run -e demo",
        ".venv/bin/tox run -e py",
    ]


def test_the_environments_exist() -> None:
    asked_for = re.findall(r"tox run -e (\w+)", "\n".join(commands()))
    # `py` is tox's own name for the interpreter at hand.
    assert set(asked_for) - {"py"} <= environments()
    assert "demo" in environments()


def test_continuous_integration_runs_the_same_commands() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for command in commands():
        assert command in script.splitlines()


def test_links_lead_to_files() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_the_supported_versions_are_those_of_the_package() -> None:
    metadata = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    classified = re.findall(r"Python :: (3\.\d+)", metadata)
    assert f"CPython {classified[0]} to {classified[-1]}" in README
    for name, text in {
        "pytest>=": "pytest {} or newer",
        "pytest-asyncio>=": "pytest-asyncio {} or newer",
        "sqlalchemy\\[asyncio]>=": "SQLAlchemy {} or newer",
    }.items():
        found = re.search(rf'^  "{name}([0-9.]+)', metadata, re.MULTILINE)
        assert found is not None
        assert text.format(found[1]) in README
