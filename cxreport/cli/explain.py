"""`cxreport explain`: heat maps of the sentences of one report."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from cxreport.cli.errors import diagnostics, errors_handled, exit_code, exits_with, say
from cxreport.cli.options import (
    Beam,
    Bundle,
    DeviceOption,
    Example,
    Force,
    MaxMegapixels,
    PrecisionOption,
    Quiet,
    Salt,
    Threshold,
    Timeout,
    Verbose,
    example_path,
    input_option,
    output_option,
)
from cxreport.errors import ExitCode, UsageError
from cxreport.model.choices import Device, Precision
from cxreport.output.formats import Graphics, console_text
from cxreport.reading.processes.limits import DEFAULT_TIMEOUT, reader_limits

Source = Annotated[
    Path | None, typer.Argument(metavar="STUDY", help="A DICOM, PNG, JPEG or TIFF file, or a folder of one study.")
]
Tags = Annotated[
    list[str] | None,
    input_option(
        "--explain-tag", metavar="NAME", help="Also show where a sentence about this reporting tag looks; repeatable."
    ),
]
Out = Annotated[
    Path | None,
    output_option("--out", "-o", metavar="DIR", help="Write overlays (PNG) and a page (index.html) into a folder too."),
]
Drawing = Annotated[
    Graphics,
    output_option(
        "--graphics",
        metavar="|".join(Graphics),
        help="Half blocks, or the terminal's own graphics ('graphics' extra). Without colour: shades.",
    ),
]
Width = Annotated[int, output_option(metavar="N", min=8, max=200, help="Columns of a picture.")]


@exits_with(ExitCode.NOTHING_READABLE, ExitCode.BUNDLE, ExitCode.EXTRA_MISSING)
def explain(
    study: Source = None,
    example: Example = False,
    explain_tag: Tags = None,
    out: Out = None,
    graphics: Drawing = Graphics.AUTO,
    width: Width = 32,
    max_megapixels: MaxMegapixels = 100.0,
    timeout: Timeout = DEFAULT_TIMEOUT,
    salt: Salt = None,
    force: Force = False,
    bundle: Bundle = None,
    threshold: Threshold = None,
    beam: Beam = 1,
    device: DeviceOption = Device.AUTO,
    precision: PrecisionOption = Precision.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show where in the image the report of one study looks. Research use only.

    Draws the network's view of the image with a heat map for each
    sentence; the page that --out writes has one for each word as well.
    """
    with errors_handled(verbose), diagnostics(quiet, verbose):
        if (study is None) is not example:
            raise UsageError("Name one study, or --example.", hint="Try `cxreport explain --example`.")

        from cxreport.reading.processes.workers import Processes, modules_for

        with Processes(reader_limits(timeout, max_megapixels), modules_for([str(study)] if study else [])) as processes:
            processes.start()  # it loads its libraries while this one loads the model

            from rich.console import Console

            from cxreport import DISCLAIMER
            from cxreport.drafting.pipeline import GenerateOptions
            from cxreport.explain import explain as stage
            from cxreport.model.precision import load_model
            from cxreport.output.explanation.page import write_files
            from cxreport.output.explanation.terminal import render_explanation
            from cxreport.output.explanation.terminal_pictures import make_painter
            from cxreport.reading.ahead import read_alone
            from cxreport.reading.study import ReadOptions
            from cxreport.types import Failure

            if not quiet:
                say(DISCLAIMER)
            model = load_model(bundle, device=device, precision=precision)
            tags = stage.tag_queries(model.manifest, explain_tag or [])
            console = Console()
            painter = make_painter(graphics, console, width)
            shape = model.manifest.input_shape
            reading = ReadOptions(
                force=force,
                max_megapixels=max_megapixels,
                salt=salt,
            ).fitting(shape)
            drafting = GenerateOptions(beam=beam, threshold=threshold, force=force)
            examined = read_alone(study or example_path(), reading, shape, processes)
            outcome = stage.explain(model, examined, drafting, tags)
            if isinstance(outcome, Failure):
                say(f"error: {outcome.error.message}", f"hint: {outcome.error.hint}")
                raise typer.Exit(exit_code(Counter([outcome.error.exit_code])))
            if out is not None:  # first, so that a pager that is closed early does not lose them
                paths = write_files(outcome, model.manifest, out)
                if not quiet:
                    say(f"written: {paths[-1]} and {len(paths) - 1} pictures")
            for block in render_explanation(outcome, console, painter):
                sys.stdout.write(console_text(block, console))
                sys.stdout.flush()
