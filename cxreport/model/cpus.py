"""Which processor there is, and how much of it to use."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_MAX_THREADS = 16
_LEAST_BATCH = 8


def usable_cpus() -> int:
    """CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def encoder_threads() -> int:
    """Threads that the encoder takes unless it is told how many."""
    return min(usable_cpus(), _MAX_THREADS)


def fitting_batch_size() -> int:
    """Studies that run together unless it is told how many: an image for each thread, and enough rows for the steps."""
    return max(_LEAST_BATCH, encoder_threads())


def cpuinfo() -> str:
    """What Linux tells of the processor; empty elsewhere."""
    try:
        return _CPUINFO.read_text()
    except OSError:
        return ""


def processor() -> str:
    """Name of the processor; empty where nobody tells."""
    names = (line.partition(":")[2].strip() for line in cpuinfo().splitlines() if line.startswith("model name"))
    return next(names, platform.processor())
