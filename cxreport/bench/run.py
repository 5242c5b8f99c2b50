"""Runs a benchmark, part after part."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxreport.bench.decoding import measure_decoding
from cxreport.bench.eager import compare
from cxreport.bench.environment import describe
from cxreport.bench.kernels import measure_encoder, measure_kernels
from cxreport.bench.parts import Part
from cxreport.bench.processes import PeakMemory, measure_memory, measure_start
from cxreport.bench.result import Benchmark
from cxreport.bench.stages import measure_stages, measure_throughput
from cxreport.bench.studies import SIZE, Kind, Mix, Size, write_studies
from cxreport.bench.workload import Files, network_inputs
from cxreport.errors import BundleError, MissingExtraError, NothingReadableError
from cxreport.model.bundle import load_manifest
from cxreport.model.choices import Device, Precision
from cxreport.model.precision import load_model, precision_facts
from cxreport.model.session import Model
from cxreport.reading.ahead import default_workers
from cxreport.reading.discover import group_files

_STAGED = 40
"""Studies that are taken one after the other, and whose tensors the networks get."""
_EAGER = 10
"""Studies that eager PyTorch gets, which is slow."""
_LEAST_FEW = 16
"""With fewer, not every process that reads meets every encoding."""


@dataclass(frozen=True)
class BenchOptions:
    """What to measure, and how."""

    device: Device = Device.AUTO
    precision: Precision = Precision.AUTO
    repeats: int = 3
    """Of every measurement but those of memory."""
    workers: int | None = None
    """Processes that read in the end-to-end run and when memory is measured; None as in `cxreport generate`."""
    batch_size: int = 8
    few: int | None = None
    """Studies whose peak memory that of all is compared with; None takes a tenth, at least 16."""
    size: Size = SIZE
    """Of the picture that a fresh process reads."""
    left_out: Collection[Part] = ()
    say: Callable[[str], None] = lambda text: None
    """Gets the name of each part before it begins."""


def benchmark(
    bundle: Path, studies: Sequence[Files], note: str = "", options: BenchOptions = BenchOptions()
) -> Benchmark:
    """Measure a bundle on studies.

    Args:
        bundle: its folder.
        studies: from `find_studies`.
        note: what there is to say of them.
        options: what to measure, and how.

    Raises:
        NothingReadableError: no study that can be drafted.
        CxreportError: the bundle cannot be used, or a process failed.
    """
    model = load_model(bundle, device=options.device, precision=options.precision, side_by_side=True)
    found = Benchmark(describe(model), len(studies), note)
    bench = _Bench(bundle, model, studies, options, found)
    measures = {
        Part.STAGES: bench.stages,
        Part.DECODING: bench.decoding,
        Part.KERNELS: bench.kernels,
        Part.WALL: bench.wall,
        Part.EAGER: bench.eager,
        Part.MEMORY: bench.memory,
        Part.START: bench.start,
    }
    for part, measure in measures.items():
        if part in options.left_out:
            found.left_out[part] = f"--skip {part}"
        else:
            options.say(part)
            measure()
    return found


def generate_studies(folder: Path, count: int, size: Size, mix: Mix) -> str:
    """Write studies into a folder, and tell what they are."""
    made = write_studies(folder, count, size, mix)
    counts = ", ".join(f"{number} {kind}" for kind, number in made.counts.items())
    return f"Generated, {size.rows} x {size.columns}: {counts}; {made.bytes / 1e6:,.0f} MB."


def find_studies(paths: Sequence[Path], limit: int | None = None) -> list[Files]:
    """The files of each study, at most ``limit``.

    Raises:
        NothingReadableError: there is none.
    """
    found = [[Path(file) for file in study.paths] for study in group_files(paths, "study")][:limit]
    if not found:
        raise NothingReadableError("No study among the inputs.")
    return found


@dataclass(frozen=True)
class _Bench:
    """Measures one part at a time, and notes what it found."""

    bundle: Path
    model: Model
    all: Sequence[Files]
    options: BenchOptions
    found: Benchmark

    def stages(self) -> None:
        files = _flat(self.all[:_STAGED])
        self.found.stages = measure_stages(self.model, files, self.options.batch_size, self.options.repeats)

    def decoding(self) -> None:
        sources = [str(files[0]) for files in self.all]
        self.found.decoding = measure_decoding(sources, self.model.manifest, self.options.repeats)

    def kernels(self) -> None:
        model, repeats = self.model, self.options.repeats
        inputs = network_inputs(model.manifest, _flat(self.all[:_STAGED]))
        if not inputs:
            raise NothingReadableError("No study among the inputs can be read.")
        self.found.kernels = measure_kernels(model, inputs, self.options.batch_size, repeats)
        for precision in precision_facts(self.bundle, load_manifest(self.bundle)).available:
            if precision == Precision.FLOAT16:  # of GPUs
                continue
            other = load_model(self.bundle, device=Device.CPU, precision=precision, side_by_side=True)
            self.found.encoders[precision] = measure_encoder(other, inputs, repeats)

    def wall(self) -> None:
        files, options = _flat(self.all), self.options
        self.found.wall = measure_throughput(self.model, files, self._workers, options.batch_size, options.repeats)

    def eager(self) -> None:
        try:
            if any(importlib.util.find_spec(name) is None for name in ("torch", "onnx")):
                raise MissingExtraError("Eager PyTorch", "train")
            alone = load_model(self.bundle, device=self.options.device, precision=self.options.precision)
            self.found.eager = compare(alone, self.bundle, self.all[:_EAGER], self.options.repeats)
        except (MissingExtraError, BundleError) as error:
            self.found.left_out[Part.EAGER] = error.message

    def memory(self) -> None:
        few = self.options.few or max(_LEAST_FEW, len(self.all) // 10)
        runs = [self._peak(self.all[:few]), self._peak(self.all)] if few < len(self.all) else [self._peak(self.all)]
        self.found.memory = tuple(run for run in runs if run is not None)
        if not self.found.memory:
            self.found.left_out[Part.MEMORY] = "the system does not tell"

    def start(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_studies(Path(folder), 1, self.options.size, {Kind.PNG: 1.0})
            (picture,) = Path(folder).iterdir()
            self.found.start = measure_start(picture, self.bundle, self.options.repeats)

    @property
    def _workers(self) -> int:
        return default_workers(len(self.all)) if self.options.workers is None else self.options.workers

    def _peak(self, studies: Sequence[Files]) -> PeakMemory | None:
        """Of a run with the options of this one."""
        manifest, options = self.model.manifest, self.options
        settings = {
            "--model": self.bundle,
            "--device": self.model.device,
            "--precision": manifest.precision,
            "--workers": self._workers,
            "--batch-size": options.batch_size,
        }
        arguments = [str(part) for setting in settings.items() for part in setting]
        return measure_memory(studies, arguments)


def _flat(studies: Sequence[Files]) -> Files:
    return [file for files in studies for file in files]
