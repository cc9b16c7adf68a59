"""A limit on the statements of a test, and the picture of those that went over it: repeated ones first.

The same statement sent again and again, from one line, is the sign of a query for each row ("N+1").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_uno.core.errors import TooManyQueriesError, compose_message
from pytest_uno.database.records import Statement, shorten, show_place

__all__ = ["check_query_count", "describe_queries"]

_GROUPS_SHOWN = 20


def check_query_count(statements: Sequence[Statement], limit: int, where: str) -> None:
    """Refuse too many statements.

    Args:
        statements: what was sent.
        limit: how many may be.
        where: who has sent them, for the message: "the test", "the block".

    Raises:
        TooManyQueriesError: there are more.
    """
    __tracebackhide__ = True
    if len(statements) <= limit:
        return
    repeated = len({statement.sql for statement in statements}) < len(statements)
    raise TooManyQueriesError(
        compose_message(
            f"{where} sent {_count(len(statements), 'statement')}, and may send {limit}:\n\n"
            f"{describe_queries(statements)}\n",
            cause="a query for each row of another query (N+1): a relationship is loaded row by row, or a loop "
            "asks for one object after the other"
            if repeated
            else None,
            fix="load what belongs together at once, as with selectinload() or joinedload(), or raise the limit",
            anchor="too-many-queries",
        )
    )


def describe_queries(statements: Iterable[Statement]) -> str:
    """Return the statements as text, grouped by what they say, the most frequent first, each with its lines.

    Args:
        statements: what was sent, in order.
    """
    groups: dict[str, dict[str, int]] = {}
    for statement in statements:
        places = groups.setdefault(statement.sql, {})
        place = _place(statement)
        places[place] = places.get(place, 0) + 1
    ordered = sorted(groups.items(), key=lambda group: -sum(group[1].values()))
    lines: list[str] = []
    for sql, places in ordered[:_GROUPS_SHOWN]:
        total = sum(places.values())
        lines.append(f"{total:5} x {shorten(sql)}")
        for place, times in places.items():
            lines.append(
                f"        at {place}" + (f", {times} times" if len(places) > 1 and times > 1 else "")
            )
    rest = len(ordered) - _GROUPS_SHOWN
    if rest > 0:
        lines.append(f"        and {_count(rest, 'other statement')}")
    return "\n".join(lines)


def _place(statement: Statement) -> str:
    site = statement.site
    function = f" in {site.function}" if site is not None else ""
    return f"{show_place(site)}{function}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
