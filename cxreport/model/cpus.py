"""Processor of this machine: its name and flags, the CPUs to use, and the batch that suits them."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_MAX_THREADS = 16
_MIN_BATCH = 8


def usable_cpus() -> int:
    """CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def encoder_threads() -> int:
    """Default number of threads of the encoder."""
    return min(usable_cpus(), _MAX_THREADS)


def fitting_batch_size() -> int:
    """Default number of studies that run together: an image for each thread, and enough rows for the steps."""
    return max(_MIN_BATCH, encoder_threads())


def cpuinfo() -> str:
    """Linux's description of the processor; empty elsewhere."""
    try:
        return _CPUINFO.read_text()
    except OSError:
        return ""


def processor() -> str:
    """Name of the processor; empty where the system has none."""
    names = (line.partition(":")[2].strip() for line in cpuinfo().splitlines() if line.startswith("model name"))
    return next(names, platform.processor())
