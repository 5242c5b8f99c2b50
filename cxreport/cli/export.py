"""`cxreport export`: a training run as a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cxreport.cli.errors import diagnostics, errors_handled, exits_with, require_extra, say
from cxreport.cli.options import Verbose, input_option, output_option
from cxreport.errors import ExitCode, UsageError


@exits_with(ExitCode.BUNDLE, ExitCode.EXTRA_MISSING)
def export(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Run folder of `cxreport train`; for --int8 a float bundle will do.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the new bundle.")],
    int8: Annotated[
        bool, output_option("--int8", help="Add an int8 bundle, in a folder of OUT, for CPUs where it is faster.")
    ] = False,
    images: Annotated[
        Path | None, input_option(metavar="DIR", help="Training images that --int8 is calibrated on.")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Export a trained run as a bundle and verify it. Needs the 'train' extra.

    With --int8 the bundle in OUT gets a second one, with 8-bit weights and
    activations, measured against the first. To add one to a bundle that
    exists, name its folder as RUN and as OUT.
    """
    with errors_handled(verbose), diagnostics(quiet=False, verbose=verbose):
        if int8 != (images is not None):
            raise UsageError("--int8 and --images go together.", hint="Name a folder of training images.")
        require_extra("cxreport export", extra="train", package="torch")
        from cxreport.cli.training_progress import figures_line
        from cxreport.model.bundle import is_bundle
        from cxreport.train.export import run as exports

        if int8 and is_bundle(run):
            exports.copy_bundle(run, out)
        else:
            say(figures_line("export", exports.export(run, out)))
        if images is not None:
            from cxreport.train.export.quantise import add_int8

            say(figures_line("int8", add_int8(out, images)))
        say(f"bundle: {out}")
