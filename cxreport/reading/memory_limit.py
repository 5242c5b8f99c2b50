"""Limit of the memory of this process: by the system where it keeps one, elsewhere by a watch."""

from __future__ import annotations

import os
import sys
import threading

MEMORY_EXIT = 75
"""Exit code of a process that the watch ended."""
_SECONDS_BETWEEN_LOOKS = 0.05


def limit_memory(further_bytes: int) -> None:
    """Limit this process to so much memory beyond what it has.

    On Linux by its address space, whose end raises `MemoryError` or fails a library's allocation; on other systems with
    the module `resource`, whose kernels do not keep to that, by a thread that ends the process.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    if sys.platform != "linux":
        watch_memory(_peak_bytes() + further_bytes)
        return
    with open("/proc/self/statm") as statm:
        limit = int(statm.read().split()[0]) * resource.getpagesize() + further_bytes
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    lower = [bound for bound in (limit, soft, hard) if bound != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(lower), hard))


def watch_memory(most_bytes: int) -> None:
    """End this process once its peak memory passes a number of bytes."""

    def watch() -> None:
        while _peak_bytes() <= most_bytes:
            threading.Event().wait(_SECONDS_BETWEEN_LOOKS)
        os._exit(MEMORY_EXIT)

    threading.Thread(target=watch, daemon=True).start()


def _peak_bytes() -> int:
    """Peak resident memory of this process."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
