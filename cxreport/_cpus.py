"""Which processor there is, and how much of it to use."""

from __future__ import annotations

import os
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
_MAX_THREADS = 16


def usable_cpus() -> int:
    """CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def encoder_threads() -> int:
    """Threads that the encoder takes unless it is told how many."""
    return min(usable_cpus(), _MAX_THREADS)


def processor() -> str:
    """Name of the processor; empty where nobody tells."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
