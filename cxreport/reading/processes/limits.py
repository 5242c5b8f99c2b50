"""Limits of a process that reads files, and how it keeps that of its memory: by the system, or by a watch."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass
from typing import Any, ClassVar

MEMORY_EXIT = 75
"""Exit code of a process that the watch ended."""
_SECONDS_BETWEEN_LOOKS = 0.05
DEFAULT_TIMEOUT = 60.0
"""Seconds for a study."""
_BYTES_PER_PIXEL = 16
_LEAST_BYTES = 256 << 20


@dataclass(frozen=True)
class TaskLimits:
    """Limits of a task, which a process that passes them does not survive."""

    seconds: float | None = None
    """Time of a task, without that which a process takes to start; None for any."""
    memory_bytes: int | None = None
    """Memory beyond what a process takes that has no task yet; None for any."""


NO_LIMITS = TaskLimits()


def reader_limits(timeout: float | None, max_megapixels: float) -> TaskLimits:
    """Limits of reading one study: its time in seconds, and the memory that its largest frame may take."""
    return TaskLimits(timeout, int(max_megapixels * 1e6) * _BYTES_PER_PIXEL + _LEAST_BYTES)


def limit_memory(further_bytes: int) -> None:
    """Limit this process to so much memory beyond what it has.

    On Linux by its address space, whose end raises `MemoryError` or fails a library's allocation; on other systems,
    which do not keep to that or have no such limit, by a thread that ends the process.
    """
    if sys.platform != "linux":
        watch_memory(_peak_bytes() + further_bytes)
        return
    import resource

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
    if sys.platform == "win32":
        import ctypes

        return peak_working_set(ctypes.windll.kernel32)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def peak_working_set(kernel: Any) -> int:
    """Peak resident memory of this process in bytes, as Windows tells it; 0 where it does not.

    Args:
        kernel: the library kernel32.
    """
    import ctypes
    from ctypes import wintypes

    class Counters(ctypes.Structure):
        """PROCESS_MEMORY_COUNTERS of psapi.h."""

        _fields_: ClassVar = [
            ("cb", ctypes.c_uint32),
            ("PageFaultCount", ctypes.c_uint32),
            ("PeakWorkingSetSize", ctypes.c_size_t),
            *((f"other{number}", ctypes.c_size_t) for number in range(7)),
        ]

    counters = Counters(cb=ctypes.sizeof(Counters))
    kernel.GetCurrentProcess.restype = wintypes.HANDLE  # a pseudo-handle, which 32 bits would cut
    kernel.K32GetProcessMemoryInfo.argtypes = [wintypes.HANDLE, ctypes.c_void_p, ctypes.c_uint32]
    told = kernel.K32GetProcessMemoryInfo(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.cb)
    return int(counters.PeakWorkingSetSize) if told else 0
