"""`cxreport export`: a training run as a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cxreport.cli.errors import diagnostics, errors_handled, exits_with, require_extra, say
from cxreport.cli.options import Quiet, Verbose, input_option, output_option
from cxreport.errors import ExitCode, UsageError


@exits_with(ExitCode.BUNDLE, ExitCode.EXTRA_MISSING)
def export(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Run folder of `cxreport train`; for --int8 a float bundle will do.")
    ],
    folder: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="Folder of the new bundle, if not named with --out.")
    ] = None,
    out: Annotated[Path | None, output_option("--out", "-o", metavar="OUT", help="Folder of the new bundle.")] = None,
    int8: Annotated[
        bool, output_option("--int8", help="Add an int8 bundle, in a folder of OUT, for CPUs where it is faster.")
    ] = False,
    images: Annotated[
        Path | None, input_option(metavar="DIR", help="Training images that --int8 is calibrated on.")
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Export a trained run as a bundle and verify it. Needs the 'train' extra.

    With --int8 the bundle in OUT gets a second one, with 8-bit weights and
    activations, measured against the first. To add one to a bundle that
    exists, name its folder as RUN and as OUT.
    """
    with errors_handled(verbose), diagnostics(quiet, verbose):
        if (folder is None) == (out is None):
            raise UsageError("Name one folder for the bundle, with --out.")
        target = Path(str(folder or out))
        if int8 != (images is not None):
            raise UsageError("--int8 and --images go together.", hint="Name a folder of training images.")
        for package in ("torch", "onnxscript"):  # an environment of before may have the first alone
            require_extra("cxreport export", extra="train", package=package)
        report = (lambda _: None) if quiet else say
        from cxreport.cli.training_progress import figures_line
        from cxreport.model.bundle import is_bundle
        from cxreport.train.export import run as exports

        if int8 and is_bundle(run):
            exports.copy_bundle(run, target)
        else:
            report(figures_line("export", exports.export(run, target)))
        if images is not None:
            from cxreport.train.export.quantise import add_int8

            report(figures_line("int8", add_int8(target, images)))
        report(f"bundle: {target}")
