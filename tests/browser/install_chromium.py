"""Sees to it that there is a Chromium; run as a script by the tox environment `browser`.

Where none is on PATH, Debian's package is installed, with `sudo` if need be; anywhere else a browser must be there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence

__all__ = ["find_chromium", "main"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """Return the path of a browser that Chromium's protocol drives; None if there is none."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


def main(run: Callable[[Sequence[str]], object] = subprocess.check_call) -> None:
    """Install Chromium, unless it is there.

    Args:
        run: runs a command and raises if it fails.

    Raises:
        SystemExit: there is none and it cannot be installed.
    """
    if find_chromium() is not None:
        return
    if shutil.which("apt-get") is None:
        raise SystemExit(
            f"no browser: put one of {', '.join(_NAMES)} on PATH; without apt-get none is installed"
        )
    as_root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    # Another process may be at it as well; and without a font a page has no text to look at.
    apt_get = [
        *as_root,
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-q",
        "-o",
        "DPkg::Lock::Timeout=300",
    ]
    packages = ["chromium", "fonts-dejavu-core"]
    try:
        run([*apt_get, "update"])
        run([*apt_get, "install", "-y", "--no-install-recommends", *packages])
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"no browser, and Debian's could not be installed: {error}") from error
    if find_chromium() is None:
        raise SystemExit(
            "no browser: the package `chromium` is installed, and there is no `chromium` on PATH"
        )


if __name__ == "__main__":
    main()
