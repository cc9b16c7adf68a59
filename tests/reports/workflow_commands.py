"""Reads workflow commands as the runner of GitHub Actions reads them."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Command", "parse_command", "unescape_data", "unescape_property"]


class Command(NamedTuple):
    """One command.

    Attributes:
        name: the name, as "error".
        properties: what stands between the name and the message.
        data: the message.
    """

    name: str
    properties: dict[str, str]
    data: str


def parse_command(line: str) -> Command | None:
    """Parse one line of a log.

    Args:
        line: the line.

    Returns:
        The command, or None for a line of text.
    """
    line = line.lstrip()
    end = line.find("::", 2)
    if not line.startswith("::") or end < 0:
        return None
    name, _, listed = line[2:end].partition(" ")
    pairs = (pair.split("=", 1) for pair in listed.strip().split(",") if pair)
    properties = {pair[0]: unescape_property(pair[1]) for pair in pairs if len(pair) == 2}
    return Command(name, properties, unescape_data(line[end + 2 :]))


def unescape_data(text: str) -> str:
    """Undo the escapes of a message.

    Args:
        text: the escaped message.
    """
    return text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")


def unescape_property(text: str) -> str:
    """Undo the escapes of a property.

    Args:
        text: the escaped value.
    """
    for escape, character in {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ",", "%25": "%"}.items():
        text = text.replace(escape, character)
    return text
