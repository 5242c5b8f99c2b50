"""Times of the pipeline, stage by stage and end to end."""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import dataclass
from statistics import fmean

from cxreport.bench.spread import Spread
from cxreport.bench.workload import Files, draft
from cxreport.errors import NothingReadableError
from cxreport.model.session import Model
from cxreport.output.formats import JsonLinesFormatter, TextFormatter
from cxreport.reading.discover import group_files
from cxreport.stopwatch import Stopwatch
from cxreport.types import Failure, Report

_WARM_UP = 16


@dataclass(frozen=True)
class StageTimes:
    """Times of a study by stage when one process does everything, one thing after the other."""

    studies: int
    stages: dict[str, Spread]
    """Stage -> milliseconds per study in each repeat; ``render`` is the panel, ``record`` the line of JSON."""


@dataclass(frozen=True)
class Throughput:
    """Times of all studies together, from paths to lines of JSON."""

    studies: int
    """Studies that were drafted."""
    failures: int
    workers: int
    batch_size: int
    seconds: Spread

    @property
    def images_per_second(self) -> float:
        """Rate of the median repeat."""
        return self.studies / self.seconds.median


def measure_stages(model: Model, files: Files, batch_size: int, repeats: int) -> StageTimes:
    """Draft reports without other processes, and add up the timings of their stages."""
    list(draft(model, files, batch_size, 0))
    runs = []
    for _ in range(repeats):
        watch = Stopwatch()
        with watch.stage("find"):
            group_files(files, "study")
        reports = [outcome for outcome in draft(model, files, batch_size, 0) if isinstance(outcome, Report)]
        for stage, formatter in (("render", TextFormatter(model.manifest)), ("record", _records(model))):
            with watch.stage(stage):
                for report in reports:
                    formatter.piece(report, first=False)
        runs.append(_per_study(reports, watch))
    stages = {stage: Spread(tuple(run[stage] for run in runs)) for stage in runs[0]}
    return StageTimes(studies=len(reports), stages=stages)


def measure_throughput(model: Model, files: Files, workers: int, batch_size: int, repeats: int) -> Throughput:
    """Draft all reports and write their records to the null device, after a few studies to warm up."""
    list(draft(model, files[:_WARM_UP], batch_size, workers))
    seconds = []
    for _ in range(repeats):
        start, drafted, failures = time.perf_counter(), 0, 0
        with (
            open(os.devnull, "w", encoding="utf-8") as sink,
            closing(draft(model, files, batch_size, workers)) as run,
        ):
            formatter = _records(model)
            for outcome in run:
                sink.write(formatter.piece(outcome, first=False))
                failures += isinstance(outcome, Failure)
                drafted += isinstance(outcome, Report)
        seconds.append(time.perf_counter() - start)
    return Throughput(
        studies=drafted,
        failures=failures,
        workers=workers,
        batch_size=batch_size,
        seconds=Spread(tuple(seconds)),
    )


def _records(model: Model) -> JsonLinesFormatter:
    return JsonLinesFormatter(model.manifest)


def _per_study(reports: list[Report], watch: Stopwatch) -> dict[str, float]:
    """Mean milliseconds of each stage, in the order in which a study passes them."""
    if not reports:
        raise NothingReadableError("No study among the inputs can be drafted.")
    drafting = {stage: fmean(report.timing_ms.get(stage, 0.0) for report in reports) for stage in reports[0].timing_ms}
    find, render, record = (total / len(reports) for total in watch.timing_ms.values())
    return {"find": find, **drafting, "render": render, "record": record}
