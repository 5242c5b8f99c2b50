"""A benchmark as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cxreport.bench.decoding import DecodeTimes
from cxreport.bench.eager import Comparison
from cxreport.bench.environment import Environment
from cxreport.bench.kernels import KernelTimes
from cxreport.bench.processes import PeakMemory, StartTimes
from cxreport.bench.result import Benchmark
from cxreport.bench.spread import Spread, Times
from cxreport.bench.stages import StageTimes, Throughput
from cxreport.bench.targets import Target, all_targets
from cxreport.evaluate.tables.format import NONE, new_table

_VERDICTS = {True: Text("met", "green"), False: Text("missed", "red"), None: Text(NONE)}


def render(found: Benchmark) -> Group:
    """Lay out everything that was measured, the targets last."""
    parts: list[RenderableType] = [_environment(found.environment), Text(found.note or f"{found.studies} studies.")]
    if found.stages:
        parts.append(_stages(found.stages))
    if found.decoding:
        parts.append(_decoding(found.decoding))
    if found.kernels:
        parts.append(_kernels(found.kernels, found.encoders))
    if found.wall:
        parts.append(_wall(found.wall))
    if found.eager:
        parts.append(_eager(found.eager))
    if found.memory:
        parts.append(_memory(found.memory))
    if found.start:
        parts.append(_start(found.start))
    return Group(*parts, _targets(all_targets(found)))


def _environment(environment: Environment) -> Text:
    versions = ", ".join(f"{name} {version}" for name, version in environment.versions.items())
    return Text(
        f"{environment.processor or environment.system}, {environment.cpus} of {environment.machine_cpus} CPUs\n"
        f"{environment.bundle}, {environment.precision} on {environment.provider}, "
        f"{environment.encoder_threads} encoder threads\n"
        f"Python {environment.python}, {versions}"
    )


def _stages(times: StageTimes) -> Group:
    total = sum(spread.median for spread in times.stages.values())
    title = f"Stages, one process, {times.studies} studies: ms per study"
    titled, table = _table(title, "stage", "median", "quartiles", "share")
    for stage, spread in times.stages.items():
        table.add_row(stage, *_cells(spread), f"{spread.median / total:.0%}")
    table.add_row("all", _number(total), "", "")
    return titled


def _decoding(times: tuple[DecodeTimes, ...]) -> Group:
    columns = ("encoding", "n", "codec", "quartiles", "shrunk", "quartiles", "file to input", "unshrunk")
    titled, table = _table("Decoding: ms per image", *columns)
    for kind in times:
        cells = (*_cells(kind.full.wall_ms), *_cells(kind.shrunk.wall_ms))
        files = (_number(spread.median) for spread in (kind.file_to_input, kind.file_to_input_full))
        table.add_row(kind.kind, str(kind.studies), *cells, *files)
    return titled


def _kernels(kernels: KernelTimes, encoders: dict[str, Times]) -> Group:
    titled, table = _table("Networks on ready tensors: ms per study", "network", "median", "quartiles", "CPU time")
    for step, times in kernels.steps.items():
        table.add_row(f"{step}, {kernels.precision}", *_cells(times.wall_ms), _number(times.cpu_ms.median))
    for precision, times in encoders.items():
        table.add_row(f"encoder, {precision}, CPU", *_cells(times.wall_ms), _number(times.cpu_ms.median))
    return titled


def _wall(run: Throughput) -> Group:
    title = f"All {run.studies} studies: {run.workers} workers, batches of {run.batch_size}, {run.failures} failures"
    titled, table = _table(title, "", "median", "quartiles")
    table.add_row("seconds", *_cells(run.seconds))
    table.add_row("images/s", _number(run.images_per_second), "")
    return titled


def _eager(comparison: Comparison) -> Group:
    title = (
        f"Eager PyTorch, {comparison.threads} threads: {comparison.studies} studies one at a time, ms per study; "
        f"{comparison.same_words} with the same words"
    )
    titled, table = _table(title, "", "ours", "quartiles", "eager", "quartiles", "ratio")
    rows = (
        ("file to report", comparison.ours, comparison.eager, comparison.ratio),
        ("networks", comparison.ours_networks, comparison.eager_networks, comparison.networks_ratio),
    )
    for name, ours, eager, ratio in rows:
        table.add_row(name, *_cells(ours), *_cells(eager), f"{ratio:.1f}")
    return titled


def _memory(runs: tuple[PeakMemory, ...]) -> Group:
    titled, table = _table("Peak memory: MB", "studies", "main process", "workers", "all")
    for run in runs:
        table.add_row(str(run.studies), *(f"{value:.0f}" for value in (run.main, run.workers, run.total)))
    return titled


def _start(start: StartTimes) -> Group:
    titled, table = _table("Fresh processes: seconds", "", "median", "quartiles")
    rows = {
        "python -c pass": start.python,
        "cxreport --help": start.help,
        "cxreport info": start.info,
        "cxreport generate, one PNG": start.report,
    }
    for name, spread in rows.items():
        table.add_row(name, *_cells(spread))
    return titled


def _targets(targets: tuple[Target, ...]) -> Group:
    titled, table = _table("Targets", "", "measured", "wanted", "")
    table.add_column("", overflow="fold")
    for target in targets:
        table.add_row(target.name, *_target(target), _VERDICTS[target.met], target.note)
    return titled


def _target(target: Target) -> Iterator[str]:
    yield NONE if target.value is None else f"{_number(target.value)} {target.unit}"
    yield f"{'>=' if target.at_least else '<='} {target.limit:g} {target.unit}"


def _table(title: str, *columns: str) -> tuple[Group, Table]:
    """An empty table, and the same under a title that may be wider than it."""
    table = new_table("", *columns)
    return Group(Text(f"\n{title}", "bold"), table), table


def _cells(spread: Spread) -> tuple[str, str]:
    """Median and quartiles."""
    low, high = spread.quartiles
    return _number(spread.median), f"{_number(low)}-{_number(high)}"


def _number(value: float) -> str:
    """Three digits and more."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
