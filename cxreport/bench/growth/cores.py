"""Growth with the CPUs: studies a second of `cxreport generate` on one, two, four and more."""

from __future__ import annotations

import os
from collections.abc import Sequence

from cxreport.bench.growth.points import Growth, GrowthPoint
from cxreport.bench.processes import WARM_UP, measure_rate
from cxreport.bench.workload import Files


def measure_cores(files: Files, arguments: Sequence[str]) -> Growth | None:
    """Measure the rate on more and more CPUs; None for few files, and on systems that keep no process to some CPUs.

    Args:
        files: one of each study.
        arguments: options of `cxreport generate`.
    """
    if not hasattr(os, "sched_getaffinity") or len(files) < 2 * WARM_UP:
        return None
    cpus = sorted(os.sched_getaffinity(0))
    counts = sorted({*(1 << power for power in range(len(cpus).bit_length())), len(cpus)})
    points = (GrowthPoint(n, {"throughput, /s": measure_rate(files, arguments, cpus[:n])}) for n in counts)
    return Growth("CPUs", tuple(points))
