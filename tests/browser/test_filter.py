from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_uno.reports.groups import RunSummary
from pytest_uno.reports.html import render_html
from tests.browser.leaks import leaks_of_a_project

if TYPE_CHECKING:
    from playwright.sync_api import Page


def visible(page: Page, selector: str) -> list[str]:
    return [
        element.get_attribute("id") or "" for element in page.locator(selector).all() if element.is_visible()
    ]


def rules(page: Page) -> list[str]:
    """The rules of the leaks that can be seen."""
    links = page.locator("article.leak .rule").all()
    return [link.inner_text() for link in links if link.is_visible()]


def count(page: Page) -> str:
    return page.locator("#shown").inner_text()


def test_all_leaks_are_counted_at_first(page: Page) -> None:
    assert count(page) == "8 of 8 leaks"
    assert rules(page) == ["UNO101", "UNO102", "UNO301", "UNO103", "UNO601"]  # the others are folded
    assert not page.locator("#no-match").is_visible()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("UNO301", ["UNO301"]),
        ("  orders.__INIT__ ", ["UNO301"]),
        ("shop/hub.py uno601", ["UNO601"]),
        ("test_poll[8-EUR]", ["UNO101"]),
        ("SHOP-12", ["UNO409"]),
        ("start_poller", ["UNO101", "UNO102", "UNO407"]),
        ("unretrieved", []),
    ],
)
def test_every_word_must_be_in_the_leak(page: Page, words: str, found: list[str]) -> None:
    page.locator("input[type=search]").fill(words)
    assert rules(page) == found
    assert count(page) == f"{len(found)} of 8 leaks"
    assert page.locator("#no-match").is_visible() == (not found)
    # Nothing is left of creators and parts without a leak.
    assert len(visible(page, "details.creator")) == len(
        visible(page, "details.creator:has(article:not([hidden]))")
    )
    assert len(visible(page, "section.kind")) == len(visible(page, "section.kind:has(article:not([hidden]))"))


def test_what_the_filter_unfolds_it_folds_again(page: Page) -> None:
    search = page.locator("input[type=search]")
    search.fill("Feed.open")
    assert rules(page) == ["UNO404", "UNO409"]
    assert not page.locator("#summary").is_visible()
    search.fill("")
    assert page.locator("#summary").is_visible()
    assert rules(page) == ["UNO101", "UNO102", "UNO301", "UNO103", "UNO601"]
    page.locator("#baseline details.part > summary").click()
    search.fill("Feed.open")
    search.fill("")
    assert "UNO404" in rules(page)
    assert "UNO409" not in rules(page)


def test_a_status_can_be_left_out(page: Page) -> None:
    boxes = page.locator("input[name=kind]")
    assert [box.get_attribute("value") for box in boxes.all()] == ["new", "warned", "baseline", "allowed"]
    page.get_by_label("new (3)").uncheck()
    assert count(page) == "5 of 8 leaks"
    assert rules(page) == ["UNO103", "UNO601", "UNO404", "UNO407", "UNO409"]
    page.get_by_label("warnings (2)").uncheck()
    page.get_by_label("known (2)").uncheck()
    assert rules(page) == ["UNO409"]
    page.get_by_label("allowed (1)").uncheck()
    assert count(page) == "0 of 8 leaks"
    page.get_by_label("new (3)").check()
    assert rules(page) == ["UNO101", "UNO102", "UNO301"]


def test_names_that_are_cut_are_found_by_what_was_cut(open_page: Callable[..., Page], tmp_path: Path) -> None:
    path = tmp_path / "long.html"
    groups = leaks_of_a_project()
    finding = replace(groups[0].finding, subject="x" * 5000 + "needle" + "x" * 500)
    groups[0] = replace(groups[0], finding=finding)
    path.write_text(render_html(groups, RunSummary(3)), encoding="utf-8", newline="\n")
    page = open_page(path)
    assert "needle" not in page.locator("body").inner_text()
    page.locator("input[type=search]").fill("needle")
    assert count(page) == "1 of 8 leaks"


def test_a_reloaded_page_filters_by_what_its_fields_hold(page: Page) -> None:
    page.locator("input[type=search]").fill("UNO301")
    page.goto("about:blank")
    page.go_back()
    kept = page.locator("input[type=search]").input_value()
    assert rules(page) == (["UNO301"] if kept else ["UNO101", "UNO102", "UNO301", "UNO103", "UNO601"])


def test_the_leaks_of_a_rule_alone(page: Page) -> None:
    page.locator("#rule-UNO301 button").click()
    assert rules(page) == ["UNO301"]
    assert page.evaluate("document.activeElement.name") == "words"


def test_all_creators_fold_and_unfold(page: Page) -> None:
    button = page.locator("#fold")
    button.click()
    assert rules(page) == []
    assert button.inner_text() == "Expand all"
    button.click()
    assert rules(page) == ["UNO101", "UNO102", "UNO301", "UNO103", "UNO601"]
    assert button.inner_text() == "Collapse all"


def test_the_count_is_announced(page: Page) -> None:
    assert page.locator("#shown").get_attribute("aria-live") == "polite"


COPY = "Object.defineProperty(navigator, 'clipboard', {value: {writeText: async (text) => { window.copied = text; }}})"
NO_COPY = (
    "Object.defineProperty(navigator, 'clipboard', {value: {writeText: async () => { throw new Error(); }}})"
)


def test_node_ids_are_copied(open_page: Callable[..., Page]) -> None:
    page = open_page(script=COPY)
    page.get_by_text("Copy 9 node IDs").click()
    page.wait_for_function("document.getElementById('said').textContent !== ''")
    copied = page.evaluate("window.copied").split("\n")
    assert copied == [f"tests/test_orders.py::TestOrders::test_poll[{number}-EUR]" for number in range(9)]
    assert page.locator("#said").inner_text() == "Copied 9 node IDs"


def test_a_browser_that_copies_nothing_shows_all_names(open_page: Callable[..., Page]) -> None:
    page = open_page(script=NO_COPY)
    last = page.get_by_text("test_poll[8-EUR]")
    assert not last.is_visible()
    page.get_by_text("Copy 9 node IDs").click()
    last.wait_for()
    assert "select the names" in page.locator("#said").inner_text()
