from __future__ import annotations

import re

from pytest_uno.core.errors import docs_url
from pytest_uno.leaks.rules import RULES


def test_rules_are_in_order_and_well_formed() -> None:
    assert list(RULES) == sorted(RULES)
    assert len({rule.name for rule in RULES.values()}) == len(RULES)
    for code, rule in RULES.items():
        assert code == rule.code
        assert re.fullmatch(r"UNO[1-9]\d\d", code)
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.name)
        assert rule.docs == docs_url(f"reference/leaks/{code}")
        assert not rule.fix.endswith(".")
        assert not rule.title.endswith(".")
