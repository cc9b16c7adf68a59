"""Where the work of a helper thread comes from, for what it makes without any of the user's frames.

The worker of a pool that was handed `open` itself, as aiofiles does, has none on its stack; who handed it over has.
"""

from __future__ import annotations

import sys
import threading
from concurrent.futures import Executor

from pytest_uno.leaks.sites import Site, Sites

__all__ = ["ThreadOrigins", "is_made_by_import"]

_getframe = sys._getframe  # pyright: ignore[reportPrivateUsage]  (documented, if only for CPython)


class ThreadOrigins(threading.local):
    """What is known of the work that the current thread does.

    Attributes:
        site: where the thread was started, or its job handed over; empty if that is unknown.
        pool: the executor that is being handed a job by the current thread, and may start workers for it.
    """

    site: Site = []  # noqa: RUF012  (never changed in place)
    pool: Executor | None = None

    def capture(self, sites: Sites) -> Site:
        """Record up to three of the user's frames, or those that gave the thread its work.

        Args:
            sites: records them, from the caller's caller outwards.
        """
        return sites.capture(_getframe(2)) or self.site


def is_made_by_import(site: Site) -> bool:
    """Say whether something was made by the import of a module, whose it is then for good.

    Args:
        site: where it was made.
    """
    return any(
        code.co_name == "<module>" or _is_import(code.co_code, lasti)
        for code, lasti in zip(site[::2], site[1::2], strict=True)
    )


def _is_import(code: bytes, lasti: int) -> bool:
    import dis  # only when something was left open

    return 0 <= lasti < len(code) and dis.opname[code[lasti]] == "IMPORT_NAME"
