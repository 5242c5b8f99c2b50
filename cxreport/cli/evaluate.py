"""`cxreport evaluate`."""

from __future__ import annotations

import enum
import importlib.util
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxreport.cli import compare as _cli_compare
from cxreport.cli.errors import diagnostics, errors_handled
from cxreport.cli.options import PrecisionOption
from cxreport.errors import MissingExtraError, UsageError
from cxreport.model.choices import Precision

if TYPE_CHECKING:
    from cxreport.evaluate.compare import Comparison
    from cxreport.evaluate.run import Evaluation

FILE_WIDTH = 100


class Dataset(enum.StrEnum):
    """Collections whose layout `--data` may have."""

    OPENI = "openi"
    NIH = "nih"
    COCO = "coco"


def evaluate(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN", help="For --compare: bundles, or run folders of `cxreport train`."),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Measure every RUN on the same data. Needs --nih and --openi.")
    ] = False,
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
    boxes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Radiologists' boxes on NIH images, CSV: where the model looks. Needs --nih."
        ),
    ] = None,
    dataset: Annotated[
        Dataset | None,
        typer.Option(help="What --data holds. coco: images with captions in COCO's layout."),
    ] = None,
    data: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="Folder of --dataset. Repeatable for nih.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="BUNDLE", help="Bundle folder. Default: the shipped bundle.")
    ] = None,
    precision: PrecisionOption = Precision.AUTO,
    json_: Annotated[bool, typer.Option("--json", help="Write JSON, with every interval.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write to a file instead of stdout.")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the tag head's reliability diagrams, PNG. Needs --nih.")
    ] = None,
    samples: Annotated[
        int, typer.Option(metavar="N", min=0, help="Add what is drafted for N images. Needs --nih or coco.")
    ] = 0,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Only the first N studies of a split.")] = None,
    bootstrap: Annotated[int, typer.Option(metavar="N", min=0, help="Resamples of the 95 % intervals.")] = 1000,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Add tracebacks and libraries' warnings on stderr.")
    ] = False,
) -> None:
    """Measure a bundle beside trivial baselines on your own copy of the data.

    With --compare, measure several bundles or training runs instead: text against text from images that stand in for
    Open-I's own, and what is drafted from NIH images against their labels. Training runs need the 'train' extra.
    Bundles are then taken as they are unless --precision names one: int8 only where it is asked for.

    Open-I and COCO need the 'evaluate' extra, and Java for METEOR; COCO needs Java for its own words too.
    """
    with errors_handled(verbose), diagnostics(quiet=False, verbose=verbose):
        openi, nih, coco = _folders(openi, nih or [], dataset, data or [])
        if compare or runs:
            others = {
                "--model": model,
                "--from-images": from_images,
                "--plot": plot,
                "--samples": samples,
                "--boxes": boxes,
            }
            _cli_compare.check_comparison(compare, runs or [], openi, nih, others | {"--dataset coco": coco})
        _check_precision(precision)
        if not (openi or nih or coco):
            raise UsageError(
                "Nothing to measure on.", hint="Name a folder with --openi, --nih, or --dataset and --data."
            )
        if from_images and not openi:
            raise UsageError("--from-images goes with --openi.")
        if plot and not nih:
            raise UsageError("--plot goes with --nih.")
        if boxes and not nih:
            raise UsageError("--boxes goes with --nih.", hint="Name the folder with the images that the boxes are on.")
        if samples and not (nih or coco):
            raise UsageError("--samples goes with --nih or --dataset coco.")
        if (openi or coco) and importlib.util.find_spec("pycocoevalcap") is None:
            raise MissingExtraError(f"cxreport evaluate {'--openi' if openi else '--dataset coco'}", "evaluate")
        from cxreport.cli import progress as _cli_run
        from cxreport.evaluate.drafting import EvaluateOptions
        from cxreport.evaluate.run import evaluate as measure
        from cxreport.model import bundle
        from cxreport.model import precision as loading

        with _cli_run.Progress(shown=sys.stderr.isatty()) as progress:
            options = EvaluateOptions(bootstrap, limit, samples, from_images, progress.count)
            measured: Evaluation | Comparison
            if compare and openi:
                measured = _cli_compare.compare(runs or [], openi, nih, options, precision)
            else:
                loaded = loading.load_model(bundle.find_bundle(model), "cpu", precision.value, side_by_side=True)
                measured = measure(loaded, openi, nih, options, coco, boxes)
        try:
            if plot:
                _plot(measured, plot)
            _write(measured, json_, out)
        except OSError as error:
            raise UsageError(f"{error.filename}: cannot be written ({error.strerror}).") from error


def _check_precision(precision: Precision) -> None:
    """Refuse the precision of GPUs."""
    if precision is Precision.FLOAT16:
        raise UsageError(
            "--precision float16 is for GPUs, and cxreport evaluate runs on the CPU.", hint="Leave --precision out."
        )


def _folders(
    openi: Path | None, nih: list[Path], dataset: Dataset | None, data: list[Path]
) -> tuple[Path | None, list[Path], Path | None]:
    """The folders of Open-I, NIH and COCO, however they were named."""
    if (dataset is None) != (not data):
        raise UsageError("--dataset and --data go together.", hint="For example: --dataset coco --data DIR")
    if dataset is None:
        return openi, nih, None
    if dataset is Dataset.NIH:
        return openi, nih + data, None
    if len(data) > 1 or (dataset is Dataset.OPENI and openi):
        raise UsageError(f"One folder of {dataset} can be measured at a time.")
    return (data[0], nih, None) if dataset is Dataset.OPENI else (openi, nih, data[0])


def _plot(measured: Evaluation | Comparison, path: Path) -> None:
    """Draw the reliability diagrams."""
    from cxreport.evaluate.run import Evaluation
    from cxreport.evaluate.tables.reliability_plot import reliability_plot

    if isinstance(measured, Evaluation) and measured.nih:
        reliability_plot(measured.nih.reliability).save(path, format="PNG")


def _write(measured: Evaluation | Comparison, json_: bool, out: Path | None) -> None:
    """Write the tables, or JSON, to a file or stdout."""
    from rich.console import Console

    from cxreport.evaluate.run import Evaluation, to_json
    from cxreport.evaluate.tables.compare import render_comparison
    from cxreport.evaluate.tables.evaluation import render

    if json_:
        text = json.dumps(to_json(measured), indent=2, allow_nan=False) + "\n"
    else:
        on_screen = out is None and sys.stdout.isatty()
        console = Console(file=sys.stdout) if on_screen else Console(width=FILE_WIDTH, color_system=None)
        with console.capture() as capture:
            tables = render(measured) if isinstance(measured, Evaluation) else render_comparison(measured)
            console.print(tables, crop=False)
        text = capture.get()
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8")
