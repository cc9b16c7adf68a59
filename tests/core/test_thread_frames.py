from __future__ import annotations

import gc
import sys
import threading
import types

import pytest

from pytest_uno.core import thread_frames


def test_each_thread_is_there_with_its_frame() -> None:
    frames = thread_frames.current_frames()
    assert frames.keys() == sys._current_frames().keys()
    assert frames[threading.get_ident()].f_code.co_filename in {__file__, thread_frames.__file__}


@pytest.mark.parametrize("is_enabled", [True, False])
def test_no_garbage_is_collected_meanwhile(monkeypatch: pytest.MonkeyPatch, is_enabled: bool) -> None:
    seen: list[bool] = []

    def ask() -> dict[int, types.FrameType]:
        seen.append(gc.isenabled())
        return {}

    monkeypatch.setattr(thread_frames, "_ask", ask)
    before = gc.isenabled()
    (gc.enable if is_enabled else gc.disable)()
    try:
        assert thread_frames._ask_without_collection() == {}
        assert gc.isenabled() is is_enabled
    finally:
        (gc.enable if before else gc.disable)()
    assert seen == [False]
