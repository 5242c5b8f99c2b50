"""Run of a benchmark, part after part."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxreport.bench.decoding import measure_decoding
from cxreport.bench.eager import compare_with_eager
from cxreport.bench.environment import describe
from cxreport.bench.growth.run import GrowthSizes, measure_growth
from cxreport.bench.kernels import measure_encoder, measure_kernels
from cxreport.bench.peers import compare_with_peers
from cxreport.bench.processes import PeakMemory, measure_memory, measure_start
from cxreport.bench.result import Benchmark
from cxreport.bench.stages import measure_stages, measure_throughput
from cxreport.bench.studies import SIZE, Mix, Size, write_studies
from cxreport.bench.workload import Files, network_inputs
from cxreport.errors import BundleError, MissingExtraError, NothingReadableError
from cxreport.model.bundle import load_manifest
from cxreport.model.choices import BenchPart, Device, FileEncoding, Precision
from cxreport.model.precision import load_model, precision_facts
from cxreport.model.session import Model
from cxreport.reading.ahead import default_workers
from cxreport.reading.discover import group_files

_STAGED = 40
"""Studies that the stages and the bare networks are timed on."""
_EAGER = 10
"""Studies that eager PyTorch is timed on, which is slow."""
_LEAST_FEW = 16
"""Studies of the smaller run when memory is measured: with fewer, a worker may not meet every encoding."""


@dataclass(frozen=True)
class BenchOptions:
    """Settings of a benchmark."""

    device: Device = Device.AUTO
    precision: Precision = Precision.AUTO
    repeats: int = 3
    """Repeats of every measurement but those of memory."""
    workers: int | None = None
    """Processes that read in the end-to-end run and when memory is measured; None as in `cxreport generate`."""
    batch_size: int = 8
    few: int | None = None
    """Studies whose peak memory that of all is compared with; None takes a tenth, at least 16."""
    size: Size = SIZE
    """Size of the picture that a fresh process reads."""
    peers: bool = False
    """Time other programs as well."""
    growth: GrowthSizes | None = None
    """Measure how cost grows, up to these sizes."""
    left_out: Collection[BenchPart] = ()
    """Parts that are not measured."""
    say: Callable[[str], None] = lambda text: None
    """Called with the name of each part before it begins."""


def benchmark(
    bundle: Path, studies: Sequence[Files], note: str = "", options: BenchOptions = BenchOptions()
) -> Benchmark:
    """Measure a bundle on studies.

    Args:
        bundle: its folder.
        studies: from `find_studies`.
        note: description of the studies.
        options: settings.

    Raises:
        NothingReadableError: no study that can be drafted.
        CxreportError: the bundle cannot be used, or a process failed.
    """
    model = load_model(bundle, device=options.device, precision=options.precision, side_by_side=True)
    result = Benchmark(environment=describe(model), studies=len(studies), note=note)
    run = _Run(bundle=bundle, model=model, studies=studies, options=options, result=result)
    measures = {
        BenchPart.STAGES: run.stages,
        BenchPart.DECODING: run.decoding,
        BenchPart.KERNELS: run.kernels,
        BenchPart.WALL: run.wall,
        BenchPart.EAGER: run.eager,
        **({BenchPart.PEERS: run.peers} if options.peers else {}),
        **({BenchPart.GROWTH: run.growth} if options.growth else {}),
        BenchPart.MEMORY: run.memory,
        BenchPart.START: run.start,
    }
    for part, measure in measures.items():
        if part in options.left_out:
            result.left_out[part] = f"--skip {part}"
        else:
            options.say(part)
            measure()
    return result


def generate_studies(folder: Path, count: int, size: Size, mix: Mix) -> str:
    """Write studies into a folder, and describe them in a line."""
    files = write_studies(folder, count, size, mix)
    counts = ", ".join(f"{number} {encoding}" for encoding, number in files.counts.items())
    return f"Generated, {size.rows} x {size.columns}: {counts}; {files.bytes / 1e6:,.0f} MB."


def find_studies(paths: Sequence[Path], limit: int | None = None) -> list[Files]:
    """Find the files of each study, of at most ``limit`` studies.

    Raises:
        NothingReadableError: there is none.
    """
    studies = [[Path(file) for file in study.paths] for study in group_files(paths, "study")][:limit]
    if not studies:
        raise NothingReadableError("No study among the inputs.")
    return studies


@dataclass(frozen=True)
class _Run:
    """Measures one part at a time, and notes its figures in the result."""

    bundle: Path
    model: Model
    studies: Sequence[Files]
    options: BenchOptions
    result: Benchmark

    def stages(self) -> None:
        files = _flat(self.studies[:_STAGED])
        self.result.stages = measure_stages(self.model, files, self.options.batch_size, self.options.repeats)

    def decoding(self) -> None:
        sources = [str(files[0]) for files in self.studies]
        self.result.decoding = measure_decoding(sources, self.model.manifest, self.options.repeats)

    def kernels(self) -> None:
        model, repeats = self.model, self.options.repeats
        inputs = network_inputs(model.manifest, _flat(self.studies[:_STAGED]))
        if not inputs:
            raise NothingReadableError("No study among the inputs can be read.")
        self.result.kernels = measure_kernels(model, inputs, self.options.batch_size, repeats)
        for precision in precision_facts(self.bundle, load_manifest(self.bundle)).available:
            if not precision.gpu_only:
                variant = load_model(self.bundle, device=Device.CPU, precision=precision, side_by_side=True)
                self.result.encoders[precision] = measure_encoder(variant, inputs, repeats)

    def wall(self) -> None:
        files, options = _flat(self.studies), self.options
        self.result.wall = measure_throughput(self.model, files, self._workers, options.batch_size, options.repeats)

    def eager(self) -> None:
        try:
            if any(importlib.util.find_spec(name) is None for name in ("torch", "onnx")):
                raise MissingExtraError("Eager PyTorch", "train")
            model = load_model(self.bundle, device=self.options.device, precision=self.options.precision)
            self.result.eager = compare_with_eager(model, self.bundle, self.studies[:_EAGER], self.options.repeats)
        except (MissingExtraError, BundleError) as error:
            self.result.left_out[BenchPart.EAGER] = error.message

    def peers(self) -> None:
        if any(importlib.util.find_spec(name) is None for name in ("torch", "torchvision", "torchxrayvision")):
            raise MissingExtraError("--peers", "peers")
        workers, options = self._workers, self.options
        self.result.peers = compare_with_peers(self.model, self.studies, workers, options.batch_size, options.repeats)

    def growth(self) -> None:
        assert self.options.growth is not None
        workers = [] if self.options.workers is None else ["--workers", str(self.options.workers)]
        arguments = [*self._same_model, *workers]
        self.result.growth = measure_growth(
            self.model, self.studies, arguments, self.options.growth, self.options.repeats
        )

    def memory(self) -> None:
        studies, few = self.studies, self.options.few or max(_LEAST_FEW, len(self.studies) // 10)
        peaks = [self._peak(sample) for sample in ([studies[:few], studies] if few < len(studies) else [studies])]
        self.result.memory = tuple(peak for peak in peaks if peak is not None)
        if not self.result.memory:
            self.result.left_out[BenchPart.MEMORY] = "needs /proc, which this system does not have"

    def start(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_studies(Path(folder), 1, self.options.size, {FileEncoding.PNG: 1.0})
            (picture,) = Path(folder).iterdir()
            self.result.start = measure_start(picture, self.bundle, self.options.repeats)

    @property
    def _workers(self) -> int:
        return default_workers(len(self.studies)) if self.options.workers is None else self.options.workers

    def _peak(self, studies: Sequence[Files]) -> PeakMemory | None:
        """Peak memory of `cxreport generate` with the settings of this run."""
        settings = ["--workers", str(self._workers), "--batch-size", str(self.options.batch_size)]
        return measure_memory(studies, [*self._same_model, *settings])

    @property
    def _same_model(self) -> list[str]:
        """Options that make `cxreport generate` use the bundle as this run does."""
        device, precision = str(self.model.device), str(self.model.manifest.precision)
        return ["--model", str(self.bundle), "--device", device, "--precision", precision]


def _flat(studies: Sequence[Files]) -> Files:
    return [file for files in studies for file in files]
