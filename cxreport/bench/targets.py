"""What the program has to reach: measured, wanted, and whether it is met."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from cxreport.bench.parts import Part
from cxreport.bench.result import Benchmark
from cxreport.bench.studies import Kind
from cxreport.model.choices import Precision


@dataclass(frozen=True)
class Target:
    """A figure and its limit."""

    name: str
    unit: str
    limit: float
    at_least: bool
    """Whether the limit is the least that is wanted, or the most."""
    value: float | None
    """None where it was not measured."""
    note: str = ""
    """What to see it beside, or why it was not measured."""

    @property
    def met(self) -> bool | None:
        """None where it was not measured."""
        if self.value is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def all_targets(found: Benchmark) -> tuple[Target, ...]:
    """All targets, those that nothing was measured for as well."""
    return (
        _encoder(found),
        _wall(found),
        *_eager(found),
        *_memory(found),
        *_start(found),
        *_decoding(found),
    )


def _encoder(found: Benchmark) -> Target:
    """Int8 against single precision, both on the CPU."""
    value, note = None, found.left_out.get(Part.KERNELS, "the bundle has no int8 variant")
    if {Precision.INT8, Precision.FLOAT32} <= found.encoders.keys():
        before, after = (found.encoders[p].wall_ms.median for p in (Precision.FLOAT32, Precision.INT8))
        value, note = before / after, f"{before:.1f} / {after:.1f} ms"
    return Target("encoder, float32 / int8", "x", 3.0, True, value, note)


def _wall(found: Benchmark) -> Target:
    """The wall time of all studies against the larger of the bare networks, and the bare codecs on all CPUs.

    Networks and codecs share the CPUs, so the note tells what no program on so many of them could do better than.
    """
    target = Target("wall / larger of networks, codecs", "x", 1.25, False, None)
    run, kernels, cpus = found.wall, found.kernels, found.environment.cpus
    if run is None or kernels is None or not found.decoding:
        return replace(target, note=_why(found, Part.WALL, Part.KERNELS, Part.DECODING))
    networks = run.studies * kernels.wall_ms / 1000
    codecs = sum(t.studies * t.shrunk.wall_ms.median for t in found.decoding) / 1000 / cpus
    work = (run.studies * kernels.cpu_ms + sum(t.studies * t.shrunk.cpu_ms.median for t in found.decoding)) / 1000
    wall, floor = run.seconds.median, work / cpus
    note = (
        f"{wall:.2f} s / {networks:.2f} s, {codecs:.2f} s; together on {cpus} CPUs {floor:.2f} s: {wall / floor:.2f} x"
    )
    return replace(target, value=wall / max(networks, codecs), note=note)


def _eager(found: Benchmark) -> Iterator[Target]:
    """File to report against eager PyTorch, which takes one study at a time: so do we, or all as `generate` does."""
    together = Target("eager / ours, all studies", "x", 10.0, True, None, _why(found, Part.EAGER, Part.WALL))
    alone = Target("eager / ours, one at a time", "x", 10.0, True, None, _why(found, Part.EAGER))
    if found.eager is not None:
        ours, eager = found.eager.ours.median, found.eager.eager.median
        note = f"{eager:.0f} / {ours:.0f} ms; networks alone {found.eager.networks_ratio:.1f} x"
        alone = replace(alone, value=found.eager.ratio, note=note)
        if found.wall is not None:
            share = 1000 * found.wall.seconds.median / found.wall.studies
            together = replace(together, value=eager / share, note=f"{eager:.0f} / {share:.0f} ms")
    yield together
    yield alone


def _memory(found: Benchmark) -> Iterator[Target]:
    """Peak memory, and whether it grows with the number of studies."""
    why, few, many = _why(found, Part.MEMORY), None, None
    if found.memory:
        *less, many = found.memory
        few, why = next(iter(less), None), f"{many.studies} studies"
    yield Target("peak memory, main process", "MB", 700, False, many.main if many else None, why)
    yield Target("peak memory, with workers", "MB", 700, False, many.total if many else None, why)
    growth, note = None, why
    if few and many:
        growth = many.total / few.total
        note = f"{many.studies} / {few.studies} studies; main process {many.main / few.main:.2f} x"
    yield Target("peak memory, many / few studies", "x", 1.1, False, growth, note)


def _start(found: Benchmark) -> Iterator[Target]:
    """Fresh processes."""
    start, why = found.start, _why(found, Part.START)
    for name, what, limit in (("--help", "help", 0.3), ("info", "info", 0.5), ("one PNG to its report", "report", 1.5)):
        spent: float | None = None
        if start is not None:
            spent = getattr(start, what).median
            why = f"{spent / start.python.median:.1f} x `python -c pass`"
        yield Target(f"start, {name}", "s", limit, False, spent, why)


def _decoding(found: Benchmark) -> Iterator[Target]:
    """JPEG 2000 with fewer pixels, and raw files."""
    by_kind = {times.kind: times for times in found.decoding}
    why = found.left_out.get(Part.DECODING, "no such study")
    j2k = Target("J2K codec, full / shrunk", "x", 5.0, True, None, why)
    if times := by_kind.get(Kind.J2K):
        full, shrunk = times.full.wall_ms.median, times.shrunk.wall_ms.median
        j2k = replace(j2k, value=full / shrunk, note=f"{full:.0f} / {shrunk:.0f} ms")
    yield j2k
    raw = Target("raw file to network input", "ms", 15.0, False, None, why)
    if times := by_kind.get(Kind.RAW):
        raw = replace(raw, value=times.file_to_input.median, note=f"{times.file_to_input_full.median:.0f} ms unshrunk")
    yield raw


def _why(found: Benchmark, *parts: Part) -> str:
    """Why something was not measured."""
    return "; ".join(found.left_out[part] for part in parts if part in found.left_out)
