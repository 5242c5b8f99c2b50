"""Tables of a benchmark."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cxreport.bench.decoding import DecodeTimes
from cxreport.bench.eager import EagerComparison
from cxreport.bench.environment import Environment
from cxreport.bench.growth.points import Growth
from cxreport.bench.kernels import KernelTimes
from cxreport.bench.peers import PeerTimes
from cxreport.bench.processes import PeakMemory, StartTimes
from cxreport.bench.result import Benchmark
from cxreport.bench.spread import Spread, Times
from cxreport.bench.stages import StageTimes, Throughput
from cxreport.bench.targets import Target, all_targets
from cxreport.evaluate.tables.format import NONE, new_table
from cxreport.model.choices import Precision

_VERDICTS = {True: Text("met", "green"), False: Text("missed", "red"), None: Text(NONE)}


def render(benchmark: Benchmark) -> Group:
    """Lay out everything that was measured, the targets last."""
    note = Text(benchmark.note or f"{benchmark.studies} studies.")
    tables: list[RenderableType] = [_environment(benchmark.environment), note]
    if benchmark.stages:
        tables.append(_stages(benchmark.stages))
    if benchmark.decoding:
        tables.append(_decoding(benchmark.decoding))
    if benchmark.kernels:
        tables.append(_kernels(benchmark.kernels, benchmark.encoders))
    if benchmark.wall:
        tables.append(_wall(benchmark.wall))
    if benchmark.eager:
        tables.append(_eager(benchmark.eager))
    if benchmark.peers:
        tables.append(_peers(benchmark.peers))
    tables += [_growth(growth) for growth in benchmark.growth]
    if benchmark.memory:
        tables.append(_memory(benchmark.memory))
    if benchmark.start:
        tables.append(_start(benchmark.start))
    return Group(*tables, _targets(all_targets(benchmark)))


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
    for encoding in times:
        cells = (*_cells(encoding.full.wall_ms), *_cells(encoding.shrunk.wall_ms))
        files = (_number(spread.median) for spread in (encoding.file_to_input, encoding.file_to_input_full))
        table.add_row(encoding.kind, str(encoding.studies), *cells, *files)
    return titled


def _kernels(kernels: KernelTimes, encoders: dict[str, Times]) -> Group:
    titled, table = _table("Networks on ready tensors: ms per study", "network", "median", "quartiles", "CPU time")
    for step, times in kernels.steps.items():
        table.add_row(f"{step}, {kernels.precision}", *_cells(times.wall_ms), _number(times.cpu_ms.median))
    for precision, times in encoders.items():
        table.add_row(f"encoder, {precision}, CPU", *_cells(times.wall_ms), _number(times.cpu_ms.median))
    medians = {precision: times.wall_ms.median for precision, times in encoders.items()}
    float32, int8 = medians.get(Precision.FLOAT32), medians.get(Precision.INT8)
    if float32 is None or int8 is None or int8 < float32:
        return titled
    return Group(titled, Text("int8 is no faster than float32 on this CPU: take --precision float32."))


def _wall(run: Throughput) -> Group:
    title = f"All {run.studies} studies: {run.workers} workers, batches of {run.batch_size}, {run.failures} failures"
    titled, table = _table(title, "", "median", "quartiles")
    table.add_row("seconds", *_cells(run.seconds))
    table.add_row("images/s", _number(run.images_per_second), "")
    return titled


def _eager(comparison: EagerComparison) -> Group:
    title = (
        f"Eager PyTorch, {comparison.threads} threads: {comparison.studies} studies one at a time, ms per study; "
        f"{comparison.same_words} with the same words"
    )
    columns = ("", "ours", "quartiles", "eager", "quartiles", "ratio")
    titled, table = _table(title, *columns)
    rows = (
        ("file to report", comparison.ours, comparison.eager, comparison.ratio),
        ("networks", comparison.ours_networks, comparison.eager_networks, comparison.networks_ratio),
    )
    for name, ours, eager, ratio in rows:
        table.add_row(name, *_cells(ours), *_cells(eager), f"{ratio:.1f}")
    return titled


def _peers(peers: tuple[PeerTimes, ...]) -> Group:
    title = "Other programs on the same files, one after the other; ours as `generate` runs: ms per file"
    columns = ("", "n", "theirs", "quartiles", "our tags", "ratio", "our report", "ratio")
    titled, table = _table(title, *columns)
    versions: dict[str, str] = {}
    for peer in peers:
        ours = (_number(peer.ours_tags.median), f"{peer.tags_ratio:.1f}")
        reports = (_number(peer.ours_report.median), f"{peer.report_ratio:.1f}")
        table.add_row(f"{peer.name} ({peer.output})", str(peer.files), *_cells(peer.peer), *ours, *reports)
        versions |= peer.versions
    installed = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    return Group(titled, Text(f"{peers[0].threads} threads each; {installed}; random weights."))


def _growth(growth: Growth) -> Group:
    """Sizes below each other; the last row says how each figure grows."""
    names = list(dict.fromkeys(name for point in growth.points for name in point.figures))
    titled, table = _table(f"Growth with {growth.of}", "size", *names)
    for point in growth.points:
        table.add_row(
            f"{point.size:,g}", *(_number(point.figures[name]) if name in point.figures else NONE for name in names)
        )
    exponents = growth.exponents
    table.add_row("size to the", *(f"{exponents[name]:.2f}" if name in exponents else NONE for name in names))
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
    titled, table = _table("Targets", "", "measured", "limit", "")
    table.add_column("", overflow="fold")
    for target in targets:
        table.add_row(target.name, *_target(target), _VERDICTS[target.met], target.note)
    return titled


def _target(target: Target) -> Iterator[str]:
    yield NONE if target.value is None else f"{_number(target.value)} {target.unit}"
    yield f"{'>=' if target.at_least else '<='} {target.limit:g} {target.unit}"


def _table(title: str, *columns: str) -> tuple[Group, Table]:
    """Empty table under a title that may be wider than it, and the table itself."""
    table = new_table("", *columns)
    return Group(Text(f"\n{title}", "bold"), table), table


def _cells(spread: Spread) -> tuple[str, str]:
    """Cells of median and quartiles."""
    low, high = spread.quartiles
    return _number(spread.median), f"{_number(low)}-{_number(high)}"


def _number(value: float) -> str:
    """Cell of a value: three digits and more."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
