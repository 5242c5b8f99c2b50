"""`cxreport bench`: the speed of this machine."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxreport.cli.errors import diagnostics, errors_handled, exits_with, say
from cxreport.cli.options import (
    Bundle,
    DeviceOption,
    FittingBatchSize,
    Json,
    OutFile,
    Paths,
    PrecisionOption,
    Quiet,
    Verbose,
    Workers,
    input_option,
    listed,
)
from cxreport.errors import ExitCode
from cxreport.model.choices import BenchPart, Device, FileEncoding, Precision

if TYPE_CHECKING:
    from cxreport.bench.result import Benchmark

FILE_WIDTH = 100
_GENERATED = 40


@exits_with(ExitCode.NOTHING_READABLE, ExitCode.BUNDLE, ExitCode.EXTRA_MISSING)
def bench(
    paths: Paths = None,
    studies: Annotated[
        int | None,
        input_option(
            metavar="N", min=1, help=f"Generate N studies, or take the first N of PATHS. Default: {_GENERATED}, or all."
        ),
    ] = None,
    size: Annotated[str, input_option(metavar="HxW", help="Rows and columns of generated images.")] = "2500x2048",
    mix: Annotated[
        str, input_option(metavar="SHARES", help=f"Encodings of generated studies: {', '.join(FileEncoding)}.")
    ] = "raw=50,j2k=20,jpeg-ls=10,png=20",
    workers: Workers = None,
    repeats: Annotated[int, typer.Option(metavar="N", min=1, help="Repeats of every measurement.")] = 3,
    few: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Compare peak memory with that of N studies. Default: a tenth of all, at least 16.",
        ),
    ] = None,
    skip: Annotated[
        list[BenchPart] | None, typer.Option(metavar="PART", help=f"Leave out: {', '.join(BenchPart)}. Repeatable.")
    ] = None,
    peers: Annotated[
        bool, typer.Option("--peers", help="Time torchxrayvision and a transformer of R2Gen's shape on the same files.")
    ] = False,
    growth: Annotated[
        bool, typer.Option("--growth", help="Measure how cost grows with files, CPUs, pixels, entries and sentences.")
    ] = False,
    growth_to: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=10,
            help="Largest folder of --growth; images grow to N / 1,000 megapixels, indexes to 10 N entries.",
        ),
    ] = 10_000,
    json_: Json = False,
    out: OutFile = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    bundle: Bundle = None,
    device: DeviceOption = Device.AUTO,
    precision: PrecisionOption = Precision.AUTO,
    batch_size: FittingBatchSize = None,
) -> None:
    """Time cxreport on this machine, beside bare networks and codecs, and eager PyTorch.

    Studies are generated in a temporary folder unless PATHS are given.
    Figures are medians of repeats and their quartiles. The targets are
    limits that the program has to keep to, at 1,000 studies of the
    default size and mix; the exit code does not depend on them.

    Eager PyTorch needs the 'train' extra, --peers the 'peers' extra.
    """
    with errors_handled(verbose), diagnostics(quiet, verbose), ExitStack() as stack:
        from cxreport.bench.growth.run import GrowthSizes
        from cxreport.bench.run import BenchOptions, benchmark, find_studies, generate_studies
        from cxreport.bench.studies import parse_mix, parse_size
        from cxreport.model.bundle import find_bundle
        from cxreport.model.cpus import fitting_batch_size

        def report(name: str) -> None:
            if not quiet:
                say(f"bench: {name}")

        pixels, shares, folder = parse_size(size), parse_mix(mix), find_bundle(bundle)
        note = ""
        if paths:
            files = find_studies(list(listed(paths)), studies)
        else:
            import tempfile

            generated = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cxreport-bench-")))
            report("writing studies")
            note = generate_studies(generated, studies or _GENERATED, pixels, shares)
            files = find_studies([generated])
        options = BenchOptions(
            device=device,
            precision=precision,
            repeats=repeats,
            workers=workers,
            batch_size=batch_size or fitting_batch_size(),
            few=few,
            size=pixels,
            peers=peers,
            growth=GrowthSizes(growth_to) if growth else None,
            left_out=skip or (),
            say=report,
        )
        _write(benchmark(folder, files, note, options), json_, out)


def _write(result: Benchmark, json_: bool, out: str | None) -> None:
    """Write the tables, or JSON."""
    from rich.console import Console

    from cxreport.bench.result import to_json
    from cxreport.bench.tables import render
    from cxreport.bench.targets import all_targets
    from cxreport.cli.command.result import write_result

    if json_:
        record = {**to_json(result), "targets": to_json(all_targets(result))}
        write_result(json.dumps(record, indent=2, allow_nan=False) + "\n", out)
        return
    on_terminal = out is None and sys.stdout.isatty()
    console = Console(file=sys.stdout) if on_terminal else Console(width=FILE_WIDTH, color_system=None)
    with console.capture() as capture:
        console.print(render(result), crop=False)
    write_result(capture.get(), out)
