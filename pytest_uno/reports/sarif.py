"""SARIF 2.1.0: the form that code scanning services read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PureWindowsPath
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from pytest_uno._version import __version__
from pytest_uno.core.errors import docs_url
from pytest_uno.leaks.model import Finding, Frame
from pytest_uno.leaks.rules import RULES, Rule
from pytest_uno.reports.groups import Group, RunSummary
from pytest_uno.reports.kinds import Kind, kind_of, most_important_first
from pytest_uno.reports.own_code import calling_frame
from pytest_uno.reports.plain_text import escape_controls
from pytest_uno.reports.wording import as_sentence, count_of, name, seen_first_in

__all__ = ["FINGERPRINT_KEY", "file_uri", "render_sarif"]

# GitHub computes `primaryLocationLineHash` itself and warns of another one: the key must be our own.
FINGERPRINT_KEY = "unoLeak/v1"

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

_MOST_RESULTS = 5_000
"""How many results GitHub shows of a file; it refuses one with 25,000."""

_LEVELS: Mapping[Kind, str] = MappingProxyType(
    {"new": "error", "warned": "warning", "baseline": "note", "allowed": "note"}
)


def render_sarif(groups: Sequence[Group], run: RunSummary) -> str:
    """Render the report.

    Args:
        groups: the leaks, in the order of the report.
        run: the run that they were found in.

    Returns:
        The text of the file: ASCII only, with the leaks that fail the run first.
    """
    ordered = most_important_first(groups)
    shown, more = ordered[:_MOST_RESULTS], len(ordered) - _MOST_RESULTS
    rules = sorted({group.finding.rule for group in shown})
    compared = any(group.status == "baseline" for group in groups)
    invocation: dict[str, Any] = {"executionSuccessful": True}
    if more > 0:
        invocation["toolExecutionNotifications"] = [_notification(more)]
    log = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "pytest-uno",
                        "semanticVersion": __version__,
                        "informationUri": docs_url("index"),
                        "rules": [_rule(RULES[code]) for code in rules],
                    }
                },
                "invocations": [invocation],
                # No automationDetails: `github/codeql-action/upload-sarif` fills in the job and its matrix, or its
                # input `category`, only where there are none, and equal ones replace each other.
                "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The root directory of pytest."}}},
                "columnKind": "unicodeCodePoints",
                "results": [_result(group, rules.index(group.finding.rule), compared) for group in shown],
            }
        ],
    }
    return json.dumps(log, indent=2) + "\n"


def file_uri(frame: Frame) -> str:
    """Turn the name of a frame's file into a URI; the user's own is relative to the root.

    Args:
        frame: the frame.
    """
    file = frame.file
    if not frame.in_app and PureWindowsPath(file).drive:
        file = file.replace("\\", "/")
        if file.startswith("//"):
            return f"file:{_percent_encode(file)}"
        return f"file:///{file[:2]}{_percent_encode(file[2:])}"
    # What is neither, as "<string>", is no file.
    return ("file://" if file.startswith("/") else "") + _percent_encode(file)


def _percent_encode(path: str) -> str:
    try:
        # Bytes of a file's name that are no UTF-8 come as halves of surrogate pairs; these are the bytes again.
        return quote(path.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return quote(path.encode("utf-8", "surrogatepass"))


def _notification(more: int) -> dict[str, Any]:
    text = (
        f"{count_of(more, 'more leak')} of this run left out: a code scanning service shows no more than "
        f"{_MOST_RESULTS:,}. Those that fail the run come first. The report `json` has all."
    )
    return {"level": "warning", "message": {"text": text}}


def _rule(rule: Rule) -> dict[str, Any]:
    title = as_sentence(rule.title)
    certain = rule.level == "error"
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": title},
        "fullDescription": {"text": f"{title} Fix: {rule.fix}."},
        "helpUri": rule.docs,
        "help": {
            "text": f"{title} Fix: {rule.fix}. See {rule.docs}",
            "markdown": f"{title}\n\n**Fix:** {rule.fix}.\n\n[Read more]({rule.docs})",
        },
        "defaultConfiguration": {"level": "error" if certain else "warning"},
        "properties": {
            "tags": ["test", "asyncio", "leak"],
            "precision": "very-high" if certain else "high",
            "problem.severity": "error" if certain else "warning",
        },
    }


def _result(group: Group, rule_index: int, compared: bool) -> dict[str, Any]:
    finding, kind = group.finding, kind_of(group)
    primary = calling_frame(finding)
    related, links = _related(finding, primary)
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "kind": "fail",
        "level": _LEVELS[kind],
        "message": {"text": " ".join([_headline(group), *links])},
        "locations": [_location(primary)],
        "partialFingerprints": {FINGERPRINT_KEY: group.fingerprint},
        "occurrenceCount": group.count,
        "properties": _properties(group),
    }
    if related:
        result["relatedLocations"] = related
    steps = [*reversed(finding.created), *reversed(finding.waiting_at)]
    if len(steps) > 1:
        result["codeFlows"] = [_code_flow(steps)]
    if compared:
        result["baselineState"] = "unchanged" if kind == "baseline" else "new"
    if kind == "allowed":
        reason = {"justification": escape_controls(group.reason)} if group.reason else {}
        result["suppressions"] = [{"kind": "external", **reason}]
    return result


def _headline(group: Group) -> str:
    # The subject comes first and is short: lists of alerts show the first sentence only.
    text = f"{name(group.finding.subject)}, {seen_first_in(group)}"
    # In a message "[text](target)" is a link; no name may make one.
    return as_sentence(text.replace("](", "] ("))


def _related(finding: Finding, primary: Frame) -> tuple[list[dict[str, Any]], list[str]]:
    """Make the related locations, and the sentences that link to them: GitHub shows only what is linked."""
    locations: list[dict[str, Any]] = []

    def link(frame: Frame, what: str) -> str:
        locations.append({"id": len(locations) + 1, **_location(frame, f"{what} {name(frame.function)}")})
        return f"[here]({len(locations)})"

    sentences: list[str] = []
    position = finding.created.index(primary)
    for frames, what, sentence in (
        (finding.created[:position], "created in", "A library created it {}."),
        (finding.created[position + 1 :], "called from", "It was called from {}."),
        (finding.waiting_at[:1], "still waiting in", "It is still waiting {}."),
        (finding.waiting_at[1:], "awaited in", "That is awaited {}."),
    ):
        if frames:
            sentences.append(sentence.format(", ".join(link(frame, what) for frame in frames)))
    return locations, sentences


def _location(frame: Frame, message: str | None = None) -> dict[str, Any]:
    artifact = {"uri": file_uri(frame)}
    if frame.in_app:
        artifact["uriBaseId"] = "SRCROOT"
    region: dict[str, Any] = {
        "startLine": frame.line,
        "startColumn": 1,
        "endLine": frame.line,
        # A region without a character would be a place between two.
        "endColumn": max(len(frame.code), 1) + 1,
    }
    if frame.code:
        region["snippet"] = {"text": escape_controls(frame.code)}
    location: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": artifact, "region": region},
        "logicalLocations": [
            {"fullyQualifiedName": escape_controls(frame.function), "kind": "function"},
        ],
    }
    if message is not None:
        location["message"] = {"text": message.replace("](", "] (")}
    return location


def _code_flow(steps: Iterable[Frame]) -> dict[str, Any]:
    locations = [{"location": _location(frame, name(frame.function))} for frame in steps]
    return {"threadFlows": [{"locations": locations}]}


def _properties(group: Group) -> dict[str, Any]:
    finding = group.finding
    details = {"details": escape_controls(finding.details)} if finding.details else {}
    return {
        "subject": escape_controls(finding.subject),
        "tests": [escape_controls(test) for test in group.tests],
        "awaitedBy": None if finding.awaited_by is None else escape_controls(finding.awaited_by),
        "owner": escape_controls(finding.owner.describe()),
        **details,
    }
