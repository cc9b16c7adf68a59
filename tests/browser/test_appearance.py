from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_uno.reports.groups import RunSummary
from pytest_uno.reports.html import render_html
from tests.reports.hostile_names import HOSTILE, hostile_groups

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Every element with text of its own: its colour on the nearest background that is not transparent.
COLOURS = """() => {
    const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const backgroundOf = (element) => {
        for (let at = element; at !== null; at = at.parentElement) {
            const [red, green, blue, alpha = 1] = numbers(getComputedStyle(at).backgroundColor);
            if (alpha === 1) return [red, green, blue];
            if (alpha > 0) throw new Error("half transparent");
        }
        throw new Error("no background");
    };
    for (const part of document.querySelectorAll("details")) part.open = true;
    const all = [];
    for (const element of document.body.querySelectorAll("*:not(script)")) {
        const hasText = Array.from(element.childNodes).some((node) => node.nodeType === 3 && node.data.trim());
        if (hasText && element.checkVisibility()) {
            all.push([element.outerHTML.slice(0, 80), numbers(getComputedStyle(element).color), backgroundOf(element)]);
        }
    }
    const words = document.querySelector("input[type=search]");
    all.push(["placeholder", numbers(getComputedStyle(words, "::placeholder").color), backgroundOf(words)]);
    return all;
}"""


def luminance(colour: list[float]) -> float:
    """The relative luminance of WCAG 2."""
    parts = (part / 255 for part in colour[:3])
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: list[float], other: list[float]) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_the_measure_of_contrast() -> None:
    assert round(contrast([0, 0, 0], [255, 255, 255]), 2) == 21.0
    assert round(contrast([118, 118, 118], [255, 255, 255]), 2) == 4.54


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(open_page: Callable[..., Page], scheme: str) -> None:
    colours = open_page(color_scheme=scheme).evaluate(COLOURS)
    assert len(colours) > 200
    ratios = [(contrast(text, background), what) for what, text, background in colours]
    assert [weak for weak in ratios if weak[0] < 4.5] == []


def test_the_page_follows_the_systems_colours(open_page: Callable[..., Page]) -> None:
    def colours(scheme: str) -> tuple[str, ...]:
        body = open_page(color_scheme=scheme).locator("body")
        names = ("color", "backgroundColor")
        return tuple(body.evaluate(f"body => getComputedStyle(body).{name}") for name in names)

    light, dark = colours("light"), colours("dark")
    assert light[0] != dark[0]
    assert light[1] == "rgb(255, 255, 255)" != dark[1]


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    number: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return number


@pytest.mark.parametrize("width", [320, 360, 768, 1100])
def test_the_page_is_never_wider_than_its_window(open_page: Callable[..., Page], width: int) -> None:
    page = open_page(viewport={"width": width, "height": 740}, has_touch=True)
    assert overflow(page) == 0
    widths = page.locator("pre").evaluate_all("all => all.map((pre) => pre.scrollWidth - pre.clientWidth)")
    assert max(widths) > 0  # long lines are there, and scroll in their own box
    assert page.locator("pre").first.evaluate("pre => getComputedStyle(pre).overflowX") == "auto"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_break_nothing(open_page: Callable[..., Page], tmp_path: Path, name: str) -> None:
    path = tmp_path / "hostile.html"
    text = HOSTILE[name]
    path.write_text(
        render_html(hostile_groups(text), RunSummary(3, text, text)), encoding="utf-8", newline="\n"
    )
    page = open_page(path, viewport={"width": 360, "height": 740})
    assert page.locator("#shown").inner_text() == "8 of 8 leaks"
    assert overflow(page) == 0
    assert page.locator("article.leak").count() == 8
    assert page.locator("script").count() == 1
    assert page.locator("img").count() == 0


def test_paper_shows_all_and_no_controls(page: Page) -> None:
    last = page.get_by_text("test_poll[8-EUR]")
    allowed = page.get_by_text("closes at exit, see SHOP-12")
    assert not last.is_visible()
    page.emulate_media(media="print", color_scheme="dark")
    assert last.is_visible()
    assert allowed.is_visible()
    assert page.locator("button:visible").count() == 0
    assert not page.locator("#filter").is_visible()
    assert (
        page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
        == "rgb(255, 255, 255)"
    )
    page.emulate_media(media="screen")
    assert not last.is_visible()
    assert page.pdf().startswith(b"%PDF")
    assert not last.is_visible()  # what was opened for the paper is closed again
