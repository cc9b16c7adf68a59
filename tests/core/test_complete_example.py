"""The complete example of the documentation does what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "docs" / "examples" / "modern_async_patterns.py"

OUTPUT = """\
payments: connected
suppliers: no answer from far
suppliers: near is open, next door is open
night shift: the reconciliation took too long
service: ready
payments: charged 2 x tea at call 2
payments: charged 1 x coffee at call 4
orders: refused: 3 x tea left, 9 ordered
orders: refused: there is no cocoa
payments: charged 1 x coffee at call 6
service: in stock: 0 x coffee, 3 x tea
payments: disconnected
service: stopped by SIGTERM
service: 0 tasks, 0 open resources left
"""


def test_it_runs_to_its_end_without_a_warning() -> None:
    finished = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", str(PROGRAM)],
        capture_output=True,
        text=True,
        check=False,
    )
    # asyncio's debug mode says what took long, which depends on what else the machine does.
    lines = [line for line in finished.stderr.splitlines() if not line.startswith("Executing ")]
    assert lines == []
    assert finished.stdout == OUTPUT
    assert finished.returncode == 0
