"""What the tests in a real browser need; they run where UNO_TEST_BROWSER=1 is set, and fail there without one."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_uno.reports.groups import RunSummary
from pytest_uno.reports.html import render_html
from tests.browser.install_chromium import find_chromium
from tests.browser.leaks import leaks_of_a_project

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

if not os.environ.get("UNO_TEST_BROWSER"):
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def browser() -> Generator[Browser, None, None]:
    from playwright.sync_api import sync_playwright

    path = find_chromium()
    assert path is not None, "no Chromium on PATH: run `tox run -e browser`, which installs it"
    with sync_playwright() as playwright:
        # In a container there is no sandbox to be had. No name is resolved: the page has to do without.
        options = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND"]
        running = playwright.chromium.launch(executable_path=path, args=options)
        yield running
        running.close()


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a project with leaks of every kind."""
    path = tmp_path_factory.mktemp("report") / "leaks.html"
    text = render_html(leaks_of_a_project(), RunSummary(1200, "3.12.1", "shop"))
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


@pytest.fixture
def open_page(browser: Browser, report: Path) -> Generator[Callable[..., Page], None, None]:
    """Open the report, or another file, in a window of its own; what its console says of errors fails the test."""
    contexts: list[Any] = []
    problems: list[str] = []

    def open_page(path: Path = report, anchor: str = "", script: str = "", **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1100, "height": 900}, **options})
        contexts.append(context)
        if script:
            context.add_init_script(script)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("dialog", lambda dialog: problems.append(f"a dialog: {dialog.message}"))
        page.goto(path.as_uri() + anchor)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """The report in a window of a desktop."""
    return open_page()
