from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

NUMBERED = """() => {
    const stops = document.querySelectorAll("a[href], button, input, summary, pre[tabindex]");
    const seen = Array.from(stops).filter((stop) => stop.checkVisibility({contentVisibilityAuto: true}));
    seen.forEach((stop, index) => { stop.dataset.stop = index; });
    return seen.length;
}"""
FOCUSED = """() => {
    const style = getComputedStyle(document.activeElement);
    const width = style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth);
    return [Number(document.activeElement.dataset.stop ?? -1), width, document.activeElement.outerHTML.slice(0, 80)];
}"""


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.name || document.activeElement.tagName"))


def test_tab_reaches_everything_in_order_and_shows_where_it_is(page: Page) -> None:
    number = page.evaluate(NUMBERED)
    assert number > 60
    for expected in range(number):
        page.keyboard.press("Tab")
        stop, outline, what = page.evaluate(FOCUSED)
        assert stop == expected, what
        assert outline >= 2, what


def test_shift_tab_goes_back(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.press("Tab")
    assert focused(page) == "kind"
    page.keyboard.press("Shift+Tab")
    assert focused(page) == "words"


def test_only_code_that_is_cut_off_is_a_stop(page: Page) -> None:
    look = "all => all.map((pre) => [pre.scrollWidth > pre.clientWidth, pre.tabIndex])"
    assert set(map(tuple, page.locator("pre:visible").evaluate_all(look))) == {(True, 0), (False, -1)}


def test_the_first_stop_skips_to_the_leaks(page: Page) -> None:
    page.keyboard.press("Tab")
    assert page.locator(".skip").is_visible()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.getElementById('content').contains(document.activeElement)")


def test_a_slash_leads_to_the_filter_and_escape_clears_it(page: Page) -> None:
    page.keyboard.press("/")
    assert focused(page) == "words"
    search = page.locator("input[type=search]")
    assert search.input_value() == ""
    page.keyboard.type("shop/repo")
    assert search.input_value() == "shop/repo"
    assert page.locator("#shown").inner_text() == "1 of 8 leaks"
    page.keyboard.press("Enter")  # there is nothing to submit
    assert page.locator("#shown").inner_text() == "1 of 8 leaks"
    page.keyboard.press("Escape")
    assert search.input_value() == ""
    assert page.locator("#shown").inner_text() == "8 of 8 leaks"


def test_a_slash_with_a_modifier_is_the_browsers(page: Page) -> None:
    page.keyboard.press("Control+/")
    assert focused(page) == "BODY"


def test_boxes_and_folds_work_without_a_mouse(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.locator("#shown").inner_text() == "5 of 8 leaks"
    page.keyboard.press("Space")
    known = page.locator("#baseline details.part")
    known.locator("> summary").focus()
    page.keyboard.press("Enter")
    assert known.evaluate("part => part.open")
    page.keyboard.press("Space")
    assert not known.evaluate("part => part.open")


def test_every_field_and_part_has_a_name(page: Page) -> None:
    snapshot = page.locator("body").aria_snapshot()
    assert "- banner:" in snapshot
    assert '- search "Filter the leaks":' in snapshot
    assert '- searchbox "Filter /"' in snapshot
    assert '- group "Status":' in snapshot
    assert '- checkbox "new (3)" [checked]' in snapshot
    assert "- main:" in snapshot
    assert '- region "3 new leaks":' in snapshot
    assert '- article "new UNO101 poll of UNO101":' in snapshot
    assert '- table "Leaks by rule":' in snapshot
