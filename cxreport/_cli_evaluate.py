"""`cxreport evaluate`."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxreport._cli_errors import diagnostics, errors_handled
from cxreport.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from cxreport.evaluate.run import Evaluation

FILE_WIDTH = 100


def evaluate(
    openi: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Open-I reports with chexnet_predictions.csv: text against text.")
    ] = None,
    from_images: Annotated[
        bool, typer.Option("--from-images", help="Draft Open-I's reports from its images/, not from probabilities.")
    ] = False,
    nih: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="NIH ChestX-ray14 images with val_list.txt: tags, and reports. Repeatable."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="BUNDLE", help="Bundle folder. Default: the shipped bundle.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Write JSON, with every interval.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write to a file instead of stdout.")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the tag head's reliability diagrams, PNG. Needs --nih.")
    ] = None,
    samples: Annotated[
        int, typer.Option(metavar="N", min=0, help="Add the reports of N images, one a label. Needs --nih.")
    ] = 0,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Only the first N studies of a split.")] = None,
    bootstrap: Annotated[int, typer.Option(metavar="N", min=0, help="Resamples of the 95 % intervals.")] = 1000,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Add tracebacks and libraries' warnings on stderr.")
    ] = False,
) -> None:
    """Measure a bundle beside trivial baselines on your own copy of the data.

    --openi needs the 'evaluate' extra, and Java for METEOR.
    """
    with errors_handled(verbose), diagnostics(quiet=False, verbose=verbose):
        if not (openi or nih):
            raise UsageError("Nothing to measure on.", hint="Name a folder with --openi or --nih.")
        if from_images and not openi:
            raise UsageError("--from-images goes with --openi.")
        if (plot or samples) and not nih:
            raise UsageError("--plot and --samples go with --nih.")
        if openi and importlib.util.find_spec("pycocoevalcap") is None:
            raise MissingExtraError("cxreport evaluate --openi", "evaluate")
        from cxreport import _cli_run, bundle, session
        from cxreport.evaluate.drafting import EvaluateOptions
        from cxreport.evaluate.run import evaluate as measure

        with _cli_run.Progress(shown=sys.stderr.isatty()) as progress:
            loaded = session.Model.load(bundle.find_bundle(model), "cpu")
            measured = measure(
                loaded, openi, nih or [], EvaluateOptions(bootstrap, limit, samples, from_images, progress.count)
            )
        try:
            if plot:
                _plot(measured, plot)
            _write(measured, json_, out)
        except OSError as error:
            raise UsageError(f"{error.filename}: cannot be written ({error.strerror}).") from error


def _plot(measured: Evaluation, path: Path) -> None:
    """Draw the reliability diagrams."""
    from cxreport.evaluate.reliability_plot import reliability_plot

    if measured.nih:
        reliability_plot(measured.nih.reliability).save(path, format="PNG")


def _write(measured: Evaluation, json_: bool, out: Path | None) -> None:
    """Write the tables, or JSON, to a file or stdout."""
    from rich.console import Console

    from cxreport.evaluate.run import to_json
    from cxreport.evaluate.table import render

    if json_:
        text = json.dumps(to_json(measured), indent=2, allow_nan=False) + "\n"
    else:
        on_screen = out is None and sys.stdout.isatty()
        console = Console(file=sys.stdout) if on_screen else Console(width=FILE_WIDTH, color_system=None)
        with console.capture() as capture:
            console.print(render(measured), crop=False)
        text = capture.get()
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8")
