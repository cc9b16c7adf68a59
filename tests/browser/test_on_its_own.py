from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_uno.reports.groups import RunSummary
from pytest_uno.reports.html import render_html
from tests.browser.leaks import leaks_of_a_project

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.mark.parametrize("with_script", [True, False], ids=["script", "no-script"])
def test_nothing_but_the_file_is_asked_for(browser: Browser, report: Path, with_script: bool) -> None:
    context = browser.new_context(java_script_enabled=with_script)
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.goto(report.as_uri())
    page.wait_for_load_state("networkidle")
    page.locator("#baseline details.part > summary").click()
    page.locator("#new article a[href^='#']").first.click()
    context.close()
    assert asked == [report.as_uri()]


def test_without_javascript_all_is_there(open_page: Callable[..., Page]) -> None:
    page = open_page(java_script_enabled=False)
    assert page.locator("article.leak:visible").count() == 5
    assert not page.locator("#filter").is_visible()
    assert page.locator("button:visible").count() == 0
    known = page.locator("#baseline article.leak").first
    assert not known.is_visible()
    page.locator("#baseline details.part > summary").click()
    assert known.is_visible()
    tests = page.get_by_text("test_poll[8-EUR]")
    assert not tests.is_visible()
    page.get_by_text("and 4 more tests").click()
    assert tests.is_visible()


def fingerprint(rule: str) -> str:
    return next(group.fingerprint for group in leaks_of_a_project() if group.finding.rule == rule)


@pytest.mark.parametrize("with_script", [True, False], ids=["script", "no-script"])
@pytest.mark.parametrize("rule", ["UNO301", "UNO601", "UNO409"])
def test_a_link_to_a_leak_shows_it(open_page: Callable[..., Page], rule: str, with_script: bool) -> None:
    page = open_page(anchor=f"#{fingerprint(rule)}", java_script_enabled=with_script)
    leak = page.locator(f"[id='{fingerprint(rule)}']")
    leak.wait_for()
    box, tools = leak.bounding_box(), page.locator("#filter").bounding_box()
    assert box is not None
    assert 0 <= box["y"] < 900
    if tools is not None and rule != "UNO409":  # the last one may stand lower
        assert box["y"] >= tools["y"] + tools["height"]


def test_the_tables_lead_to_creators_and_rules(page: Page) -> None:
    page.locator("#summary").get_by_role("link", name="Orders.__init__").click()
    creator = page.locator("details.creator:target")
    assert creator.locator("h3").inner_text() == "Orders.__init__ in shop/repo.py"
    page.locator("#summary").get_by_role("link", name="UNO404").click()
    rule = page.locator("article.meaning:target")
    assert rule.locator("h3").inner_text() == "UNO404 socket"
    rule.locator("a[href^='#']").click()
    leak = page.locator("article.leak:target")
    leak.wait_for()
    assert leak.locator("h4").inner_text() == "known UNO404 socket of UNO404"


def test_a_link_shows_also_what_the_filter_hides(page: Page) -> None:
    page.locator("input[type=search]").fill("UNO301")
    page.evaluate(f"location.hash = '{fingerprint('UNO101')}'")
    page.wait_for_function("document.querySelector('article:target').checkVisibility()")
    assert page.locator("#shown").inner_text() == "8 of 8 leaks"


def test_a_link_to_a_kind_unfolds_it(page: Page) -> None:
    page.locator(".chips").get_by_role("link", name="1 allowed").click()
    page.get_by_text("closes at exit, see SHOP-12").wait_for()  # until it can be seen


def test_the_same_link_works_again_after_folding(page: Page) -> None:
    link = page.locator(".chips").get_by_role("link", name="1 allowed")
    reason = page.get_by_text("closes at exit, see SHOP-12")
    link.click()
    reason.wait_for()
    page.locator("#allowed details.part > summary").click()
    assert not reason.is_visible()
    link.click()
    reason.wait_for()


def test_a_script_that_is_not_the_pages_own_does_not_run(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "tampered.html"
    text = render_html(leaks_of_a_project(), RunSummary(3))
    tampered = text.replace("</main>", "<script>window.evil = 1</script></main>")
    path.write_text(tampered, encoding="utf-8", newline="\n")
    context = browser.new_context()
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.evaluate("window.evil") is None
    assert page.locator("#shown").inner_text() == "8 of 8 leaks"
    context.close()


def test_a_clean_run_opens_too(open_page: Callable[..., Page], tmp_path: Path) -> None:
    path = tmp_path / "clean.html"
    path.write_text(render_html([], RunSummary(1200, "3.12.1", "shop")), encoding="utf-8", newline="\n")
    page = open_page(path, viewport={"width": 360, "height": 740})
    assert page.get_by_text("All 1,200 tests left nothing behind").is_visible()
