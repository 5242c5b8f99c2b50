"""`cxreport bench`."""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxreport.bench.parts import Part
from cxreport.cli.errors import diagnostics, errors_handled, say
from cxreport.cli.options import (
    Bundle,
    DeviceOption,
    FittingBatchSize,
    Paths,
    PrecisionOption,
    Verbose,
    Workers,
    input_option,
    listed,
)
from cxreport.model.choices import Device, Precision

if TYPE_CHECKING:
    from cxreport.bench.result import Benchmark

FILE_WIDTH = 100
_GENERATED = 40


def bench(
    paths: Paths = None,
    studies: Annotated[
        int | None,
        input_option(
            metavar="N", min=1, help=f"Generate N studies, or take the first N of PATHS. Default: {_GENERATED}, or all."
        ),
    ] = None,
    size: Annotated[str, input_option(metavar="HxW", help="Pixels of generated images.")] = "2500x2048",
    mix: Annotated[
        str, input_option(metavar="SHARES", help="Of generated studies: raw, rle, j2k, jpeg-ls, png, jpeg.")
    ] = "raw=50,j2k=20,jpeg-ls=10,png=20",
    workers: Workers = None,
    repeats: Annotated[int, typer.Option(metavar="N", min=1, help="Of every measurement.")] = 3,
    few: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Compare peak memory with that of N studies. Default: a tenth, at least 16."
        ),
    ] = None,
    skip: Annotated[
        list[Part] | None, typer.Option(metavar="PART", help=f"Leave out: {', '.join(Part)}. Repeatable.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Write JSON, with every repeat.")] = False,
    verbose: Verbose = False,
    model: Bundle = None,
    device: DeviceOption = Device.AUTO,
    precision: PrecisionOption = Precision.AUTO,
    batch_size: FittingBatchSize = None,
) -> None:
    """Time cxreport on this machine, beside bare networks and codecs, and eager PyTorch.

    Studies are generated in a temporary folder unless PATHS are given.
    Figures are medians of repeats and their quartiles. The targets are
    limits that the program has to keep to, at 1,000 studies of the
    default size and mix; exit code 0 does not tell whether it does.

    Eager PyTorch needs the 'train' extra.
    """
    with errors_handled(verbose), diagnostics(quiet=False, verbose=verbose), ExitStack() as stack:
        from cxreport.bench.run import BenchOptions, benchmark, find_studies, generate_studies
        from cxreport.bench.studies import parse_mix, parse_size
        from cxreport.model.bundle import find_bundle
        from cxreport.model.cpus import fitting_batch_size

        pixels, shares, bundle = parse_size(size), parse_mix(mix), find_bundle(model)
        note = ""
        if paths:
            found = find_studies(list(listed(paths)), studies)
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cxreport-bench-")))
            say("bench: writing studies")
            note = generate_studies(folder, studies or _GENERATED, pixels, shares)
            found = find_studies([folder])
        options = BenchOptions(
            device,
            precision,
            repeats,
            workers,
            batch_size or fitting_batch_size(),
            few,
            pixels,
            skip or (),
            lambda part: say(f"bench: {part}"),
        )
        _write(benchmark(bundle, found, note, options), json_)


def _write(found: Benchmark, json_: bool) -> None:
    """Write the tables, or JSON, to stdout."""
    from rich.console import Console

    from cxreport.bench.result import to_json
    from cxreport.bench.table import render
    from cxreport.bench.targets import all_targets

    if json_:
        told = {**to_json(found), "targets": to_json(all_targets(found))}
        sys.stdout.write(json.dumps(told, indent=2, allow_nan=False) + "\n")
        return
    console = Console(file=sys.stdout) if sys.stdout.isatty() else Console(width=FILE_WIDTH, color_system=None)
    with console.capture() as capture:
        console.print(render(found), crop=False)
    sys.stdout.write(capture.get())
