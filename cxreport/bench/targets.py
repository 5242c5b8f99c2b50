"""Targets of the program: limits, measured values, and whether they are met."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from cxreport.bench.growth.folders import FIRST_RECORD, FOLDERS, MAIN_PROCESS
from cxreport.bench.result import Benchmark
from cxreport.model.choices import BenchPart, FileEncoding, Precision

_MANY_FILES = 100_000


@dataclass(frozen=True)
class Target:
    """Figure and its limit."""

    name: str
    unit: str
    limit: float
    at_least: bool
    """True for a lower limit, False for an upper one."""
    value: float | None = None
    """None where it was not measured."""
    note: str = ""
    """Figures to compare it with, or the reason why it was not measured."""

    @property
    def met(self) -> bool | None:
        """Verdict on the value; None where it was not measured."""
        if self.value is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def all_targets(benchmark: Benchmark) -> tuple[Target, ...]:
    """All targets, those that nothing was measured for as well."""
    return (
        _encoder(benchmark),
        _wall(benchmark),
        *_eager(benchmark),
        *_peers(benchmark),
        *_growth(benchmark),
        *_memory(benchmark),
        *_start(benchmark),
        *_decoding(benchmark),
    )


def _encoder(benchmark: Benchmark) -> Target:
    """Int8 against single precision, both on the CPU."""
    target = Target(
        name="encoder, float32 / int8",
        unit="x",
        limit=3.0,
        at_least=True,
        note=benchmark.left_out.get(BenchPart.KERNELS, "the bundle has no int8 variant"),
    )
    times = {precision: encoder.wall_ms.median for precision, encoder in benchmark.encoders.items()}
    float32, int8 = times.get(Precision.FLOAT32), times.get(Precision.INT8)
    if float32 is None or int8 is None:
        return target
    return replace(target, value=float32 / int8, note=f"{float32:.1f} / {int8:.1f} ms")


def _wall(benchmark: Benchmark) -> Target:
    """The wall time of all studies against the larger of the bare networks, and the bare codecs on all CPUs.

    Networks and codecs share the CPUs, so the note has the time that no program on so many of them could undercut.
    """
    target = Target(name="wall / larger of networks, codecs", unit="x", limit=1.25, at_least=False)
    run, kernels, cpus = benchmark.wall, benchmark.kernels, benchmark.environment.cpus
    if run is None or kernels is None or not benchmark.decoding:
        return replace(target, note=_reasons(benchmark, BenchPart.WALL, BenchPart.KERNELS, BenchPart.DECODING))
    networks = run.studies * kernels.wall_ms / 1000
    codecs = sum(t.studies * t.shrunk.wall_ms.median for t in benchmark.decoding) / 1000 / cpus
    work = (run.studies * kernels.cpu_ms + sum(t.studies * t.shrunk.cpu_ms.median for t in benchmark.decoding)) / 1000
    wall, floor = run.seconds.median, work / cpus
    note = (
        f"{wall:.2f} s / {networks:.2f} s, {codecs:.2f} s; together on {cpus} CPUs {floor:.2f} s: {wall / floor:.2f} x"
    )
    return replace(target, value=wall / max(networks, codecs), note=note)


def _eager(benchmark: Benchmark) -> Iterator[Target]:
    """File to report against eager PyTorch, which takes one study at a time: so do we, or all as `generate` does."""
    eager, wall = benchmark.eager, benchmark.wall
    target = Target(name="eager / ours, all studies", unit="x", limit=10.0, at_least=True)
    if eager is not None and wall is not None:
        share = 1000 * wall.seconds.median / wall.studies
        median = eager.eager.median
        yield replace(target, value=median / share, note=f"{median:.0f} / {share:.0f} ms")
    else:
        yield replace(target, note=_reasons(benchmark, BenchPart.EAGER, BenchPart.WALL))
    target = replace(target, name="eager / ours, one at a time")
    if eager is not None:
        note = f"{eager.eager.median:.0f} / {eager.ours.median:.0f} ms; networks alone {eager.networks_ratio:.1f} x"
        yield replace(target, value=eager.ratio, note=note)
    else:
        yield replace(target, note=_reasons(benchmark, BenchPart.EAGER))


def _peers(benchmark: Benchmark) -> Iterator[Target]:
    """Other programs, where they were timed: those that stop at tags against our tags and report, others against it."""
    for peer in benchmark.peers:
        ratios = [("our report", peer.ours_report, peer.report_ratio, 100.0 if peer.output == "report" else 12.0)]
        if peer.output == "tags":
            ratios.insert(0, ("our tags", peer.ours_tags, peer.tags_ratio, 15.0))
        for ours, spread, ratio, limit in ratios:
            note = f"{peer.peer.median:.0f} / {spread.median:.1f} ms"
            yield Target(f"{peer.name} / {ours}", "x", limit, at_least=True, value=ratio, note=note)


def _growth(benchmark: Benchmark) -> Iterator[Target]:
    """A folder of 100,000 files, where one was measured."""
    points = [point for growth in benchmark.growth for point in growth.points if growth.of == FOLDERS]
    limits = ((FIRST_RECORD, "s", 2.0), (MAIN_PROCESS, "MB", 250.0))
    for figures in (point.figures for point in points if point.size == _MANY_FILES):
        for name, unit, limit in limits:
            title = f"{_MANY_FILES:,} files: {name.removesuffix(f', {unit}')}"
            yield Target(title, unit, limit, at_least=False, value=figures.get(name))


def _memory(benchmark: Benchmark) -> Iterator[Target]:
    """Peak memory, and whether it grows with the number of studies."""
    note, few, many = _reasons(benchmark, BenchPart.MEMORY), None, None
    if benchmark.memory:
        *smaller, many = benchmark.memory
        few, note = next(iter(smaller), None), f"{many.studies} studies"
    target = Target(name="peak memory, main process", unit="MB", limit=700, at_least=False, note=note)
    yield replace(target, value=many.main if many else None)
    yield replace(target, name="peak memory, with workers", value=many.total if many else None)
    growth = Target(name="peak memory, many / few studies", unit="x", limit=1.1, at_least=False, note=note)
    if few and many:
        note = f"{many.studies} / {few.studies} studies; main process {many.main / few.main:.2f} x"
        growth = replace(growth, value=many.total / few.total, note=note)
    yield growth


def _start(benchmark: Benchmark) -> Iterator[Target]:
    """Fresh processes."""
    start = benchmark.start
    commands = (("--help", "help", 0.3), ("info", "info", 0.5), ("one PNG to its report", "report", 1.5))
    for name, field, limit in commands:
        target = Target(name=f"start, {name}", unit="s", limit=limit, at_least=False)
        if start is None:
            yield replace(target, note=_reasons(benchmark, BenchPart.START))
        else:
            seconds: float = getattr(start, field).median
            yield replace(target, value=seconds, note=f"{seconds / start.python.median:.1f} x `python -c pass`")


def _decoding(benchmark: Benchmark) -> Iterator[Target]:
    """JPEG 2000 with fewer pixels, and raw files."""
    by_encoding = {times.kind: times for times in benchmark.decoding}
    note = benchmark.left_out.get(BenchPart.DECODING, "no such study")
    j2k = Target(name="J2K codec, full / shrunk", unit="x", limit=5.0, at_least=True, note=note)
    if times := by_encoding.get(FileEncoding.J2K):
        full, shrunk = times.full.wall_ms.median, times.shrunk.wall_ms.median
        j2k = replace(j2k, value=full / shrunk, note=f"{full:.0f} / {shrunk:.0f} ms")
    yield j2k
    raw = Target(name="raw file to network input", unit="ms", limit=15.0, at_least=False, note=note)
    if times := by_encoding.get(FileEncoding.RAW):
        raw = replace(raw, value=times.file_to_input.median, note=f"{times.file_to_input_full.median:.0f} ms unshrunk")
    yield raw


def _reasons(benchmark: Benchmark, *needs: BenchPart) -> str:
    """Reasons why parts were not measured."""
    return "; ".join(benchmark.left_out[part] for part in needs if part in benchmark.left_out)
