from __future__ import annotations

import doctest
import os
import sys
from pathlib import Path
from typing import Any

import pytest

import pytest_uno
from pytest_uno.leaks.sites import Site, Sites

ROOT = Path(__file__).parents[2]
PACKAGE = Path(pytest_uno.__file__).parent  # the installed one, which need not be the checkout's


def in_file(file: str, source: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(source, file, "exec"), names)
    return names


@pytest.fixture
def sites() -> Sites:
    return Sites(ROOT)


def record(sites: Sites) -> Site:
    return sites.capture()


def test_three_frames_of_the_user_the_innermost_first(sites: Sites) -> None:
    def one() -> Site:
        return record(sites)

    def two() -> Site:
        return one()

    def three() -> Site:
        return two()

    frames = sites.resolve((lambda: three())())
    assert [frame.function.rpartition(".")[2] for frame in frames] == ["one", "two", "three"]
    assert [frame.code for frame in frames] == ["return record(sites)", "return one()", "return two()"]
    assert {frame.file for frame in frames} == {"tests/leaks/test_sites.py"}
    assert all(frame.in_app for frame in frames)


def test_the_walk_ends_at_the_frames_of_pytest(sites: Sites) -> None:
    frames = sites.resolve(record(sites))
    assert [frame.function for frame in frames] == ["test_the_walk_ends_at_the_frames_of_pytest"]


def test_frames_of_libraries_are_left_out(sites: Sites) -> None:
    library = in_file("/x/site-packages/lib.py", "def call(function): return function()")
    frames = sites.resolve(library["call"](lambda: record(sites)))
    assert [frame.function.rpartition(".")[2] for frame in frames][1:] == [
        "test_frames_of_libraries_are_left_out"
    ]
    assert sites.resolve(sites.capture_library())[0].function == "test_frames_of_libraries_are_left_out"


@pytest.mark.parametrize(
    ("file", "user"),
    [
        (__file__, True),
        ("/elsewhere/app.py", True),
        ("<doctest README.md[0]>", True),
        ("<string>", False),
        ("uvloop/cbhandles.pyx", False),
        ("<frozen importlib._bootstrap>", False),
        (os.__file__, False),
        (doctest.__file__, False),
        (pytest.__file__, False),
        (str(ROOT / ".venv/lib/python3.12/site-packages/x.py"), False),
        (str(PACKAGE / "leaks/sites.py"), False),
    ],
)
def test_whose_a_file_is(sites: Sites, file: str, user: bool) -> None:
    assert sites.is_user(file) is user


def test_only_what_is_below_the_root_is_in_the_app(sites: Sites, tmp_path: Path) -> None:
    assert sites.frame("/elsewhere/app.py", 3, "f").in_app is False
    assert sites.frame("/elsewhere/app.py", 3, "f").file == "/elsewhere/app.py"
    link = tmp_path / "link"
    link.symlink_to(ROOT)
    assert Sites(link).frame(__file__, 1, "f").file == "tests/leaks/test_sites.py"
    assert sites.frame("<string>", 0, "f").line == 1


def test_a_library_comes_first_only_when_there_is_no_user(sites: Sites) -> None:
    user = in_file(str(ROOT / "app.py"), "def f(): ...")["f"].__code__
    library = in_file("/x/site-packages/lib.py", "def g(): ...")["g"].__code__
    assert [frame.function for frame in sites.select([(library, 1), (user, 1)])] == ["f"]
    assert [frame.function for frame in sites.select([(library, 1)])] == ["g"]
    assert sites.select([]) == ()


def test_tracebacks_begin_where_the_error_was_raised(sites: Sites) -> None:
    def fails() -> None:
        raise RuntimeError("x")

    with pytest.raises(RuntimeError) as caught:
        fails()
    frames = sites.from_traceback(caught.value)
    assert frames[0].code == 'raise RuntimeError("x")'
    assert frames[1].code == "fails()"
    assert sites.from_traceback(RuntimeError()) == ()
    assert sites.from_traceback(None) == ()


def test_the_synchronous_half_of_a_greenlet_has_the_frames_of_its_caller(sites: Sites) -> None:
    greenlet = pytest.importorskip("greenlet")

    def inside() -> Site:
        return record(sites)

    library = in_file("/x/site-packages/lib.py", "def switch(function): return function()")

    def nested() -> Site:
        site: Site = library["switch"](greenlet.greenlet(inside).switch)
        return site

    def outer() -> Site:
        site: Site = greenlet.greenlet(nested).switch()
        return site

    assert [frame.function.rpartition(".")[2] for frame in sites.resolve(outer())] == [
        "inside",
        "nested",
        "outer",
    ]
    short = sites.resolve(greenlet.greenlet(inside).switch())
    assert len(short) == 2


def test_the_innermost_frame_may_be_behind_a_greenlet(sites: Sites) -> None:
    greenlet = pytest.importorskip("greenlet")
    lines = "import sys\ndef innermost(sites): return sites.capture_innermost(sys._getframe())"
    library = in_file("/x/site-packages/lib.py", lines)
    (frame,) = sites.resolve(greenlet.greenlet(library["innermost"]).switch(sites))
    assert frame.function == "test_the_innermost_frame_may_be_behind_a_greenlet"


def test_libraries_below_a_greenlet_are_left_out(sites: Sites) -> None:
    greenlet = pytest.importorskip("greenlet")
    lines = "def run(greenlet, function):\n    return greenlet(function).switch()"
    library = in_file("/x/site-packages/lib.py", lines)
    frames = sites.resolve(library["run"](greenlet.greenlet, lambda: record(sites)))
    assert len(frames) == 2


def test_a_thread_has_no_more_frames_than_its_own(sites: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    found: list[Site] = []

    def run() -> None:
        found.append(record(sites))

    for module in ("greenlet", None):
        if module is None:
            monkeypatch.delitem(sys.modules, "greenlet", raising=False)
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert [len(site) for site in found] == [2, 2]


def test_nothing_is_captured_above_the_library(sites: Sites) -> None:
    import threading

    found: list[Site] = []
    ours = in_file(str(PACKAGE / "x.py"), "def call(sites, found): found.append(sites.capture_library())")

    class Bare(threading.Thread):
        run = None  # type: ignore[assignment]

    thread = threading.Thread(target=ours["call"], args=(sites, found))
    thread.start()
    thread.join()
    assert found[0][0].co_filename == threading.__file__


def test_an_offset_without_a_line_reads_as_the_definition(sites: Sites) -> None:
    code = test_an_offset_without_a_line_reads_as_the_definition.__code__
    (frame,) = sites.resolve([code, 10**9])
    assert frame.line == code.co_firstlineno
