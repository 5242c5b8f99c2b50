"""`cxreport evaluate`: the quality of bundles on data of your own."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxreport.cli.errors import diagnostics, errors_handled, exits_with, require_extra
from cxreport.cli.options import (
    Bundle,
    OperatingPointOption,
    OutFile,
    PrecisionOption,
    Quiet,
    Verbose,
    input_option,
    output_option,
)
from cxreport.errors import ExitCode, UsageError
from cxreport.model.choices import Device, Precision
from cxreport.points import OperatingPoint

if TYPE_CHECKING:
    from cxreport.evaluate.compare import Comparison
    from cxreport.evaluate.run import Evaluation

FILE_WIDTH = 100


class Dataset(enum.StrEnum):
    """Collections whose layout `--data` may have."""

    OPENI = "openi"
    NIH = "nih"
    COCO = "coco"


@dataclass(frozen=True)
class _Folders:
    """Folders of the collections to measure on."""

    openi: Path | None
    nih: list[Path]
    coco: Path | None


@exits_with(ExitCode.BUNDLE, ExitCode.EXTRA_MISSING, ExitCode.SOME_FAILED)
def evaluate(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN", help="For --compare: bundles, or run folders of `cxreport train`."),
    ] = None,
    compare: Annotated[
        bool, input_option("--compare", help="Measure every RUN on the same data. Needs --nih and --openi.")
    ] = False,
    openi: Annotated[
        Path | None, input_option(metavar="DIR", help="Open-I reports with chexnet_predictions.csv: text against text.")
    ] = None,
    from_images: Annotated[
        bool, input_option("--from-images", help="Draft Open-I's reports from its images/, not from probabilities.")
    ] = False,
    nih: Annotated[
        list[Path] | None,
        input_option(metavar="DIR", help="NIH ChestX-ray14 images with val_list.txt: tags, and reports. Repeatable."),
    ] = None,
    boxes: Annotated[
        Path | None,
        input_option(
            metavar="FILE", help="Radiologists' boxes on NIH images, CSV: where the model looks. Needs --nih."
        ),
    ] = None,
    teacher: Annotated[
        list[Path] | None,
        input_option(
            metavar="FILE", help="Other networks' outputs and relabels of NIH images, CSV. Repeatable. Needs --nih."
        ),
    ] = None,
    radiologists: Annotated[
        list[Path] | None,
        input_option(metavar="FILE", help="Radiologists' labels of NIH images, CSV. Repeatable. Needs --nih."),
    ] = None,
    dataset: Annotated[
        Dataset | None,
        input_option(metavar="|".join(Dataset), help="Layout of --data. coco: images with captions in COCO's layout."),
    ] = None,
    data: Annotated[
        list[Path] | None, input_option(metavar="DIR", help="Folder of --dataset. Repeatable for nih.")
    ] = None,
    studies: Annotated[
        int | None, input_option(metavar="N", min=1, help="Only the first N studies of a split.")
    ] = None,
    bundle: Bundle = None,
    precision: PrecisionOption = Precision.AUTO,
    operating_point: OperatingPointOption = OperatingPoint.BALANCED,
    json_: Annotated[bool, output_option("--json", help="Write JSON, with every interval.")] = False,
    out: OutFile = None,
    plot: Annotated[
        Path | None, output_option(metavar="FILE", help="Draw the tag head's reliability diagrams, PNG. Needs --nih.")
    ] = None,
    samples: Annotated[
        int, output_option(metavar="N", min=0, help="Add the drafted reports of N images. Needs --nih or coco.")
    ] = 0,
    bootstrap: Annotated[int, output_option(metavar="N", min=0, help="Resamples of the 95 % intervals.")] = 1000,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Measure a bundle beside trivial baselines on your own copy of the data.

    With --compare, measure several bundles or training runs instead: text
    against text from images that stand in for Open-I's own, and what is
    drafted from NIH images against their labels. Training runs need the
    'train' extra. Bundles are then taken as they are unless --precision
    names one: int8 only where it is asked for.

    Open-I and COCO need the 'evaluate' extra, and Java for METEOR; COCO
    needs Java for its own words too.
    """
    with errors_handled(verbose), diagnostics(quiet, verbose):
        folders = _folders(openi, nih or [], dataset, data or [])
        of_nih = {"--plot": plot, "--boxes": boxes, "--teacher": teacher, "--radiologists": radiologists}
        excluded = {
            "--model": bundle,
            "--from-images": from_images,
            **of_nih,
            "--samples": samples,
            "--dataset coco": folders.coco,
        }
        if compare or runs:
            from cxreport.cli.comparison import check_comparison

            check_comparison(compare, runs or [], folders.openi, folders.nih, excluded)
        _check_precision(precision)
        _check_data(folders, from_images, of_nih, samples)

        from cxreport.cli.comparison import compare_runs
        from cxreport.cli.progress import Progress
        from cxreport.evaluate.drafting import EvaluateOptions
        from cxreport.evaluate.judges import JudgeFiles
        from cxreport.evaluate.run import Collections
        from cxreport.evaluate.run import evaluate as measure
        from cxreport.model.precision import load_model

        with Progress(visible=not quiet and sys.stderr.isatty()) as progress:
            options = EvaluateOptions(
                bootstrap=bootstrap,
                limit=studies,
                samples=samples,
                from_images=from_images,
                point=operating_point,
                report_progress=progress.count,
            )
            figures: Evaluation | Comparison
            if compare and folders.openi:
                figures = compare_runs(runs or [], folders.openi, folders.nih, options, precision)
            else:
                model = load_model(bundle, device=Device.CPU, precision=precision, side_by_side=True)
                judges = JudgeFiles(teacher or (), radiologists or ())
                collections = Collections(
                    openi=folders.openi, nih=folders.nih, coco=folders.coco, boxes=boxes, judges=judges
                )
                figures = measure(model, collections, options)
        try:
            if plot:
                _plot(figures, plot)
            _write(figures, json_, out)
        except OSError as error:
            raise UsageError(f"{error.filename}: cannot be written ({error.strerror}).") from error


def _check_precision(precision: Precision) -> None:
    """Refuse the precision of GPUs."""
    if precision.gpu_only:
        raise UsageError(
            "--precision float16 is for GPUs, and cxreport evaluate runs on the CPU.", hint="Leave --precision out."
        )


def _check_data(folders: _Folders, from_images: bool, of_nih: Mapping[str, object], samples: int) -> None:
    """Ask for the data that options need, and for the extra that the data need."""
    if not (folders.openi or folders.nih or folders.coco):
        raise UsageError("Nothing to measure on.", hint="Name a folder with --openi, --nih, or --dataset and --data.")
    if from_images and not folders.openi:
        raise UsageError("--from-images goes with --openi.")
    for option, value in of_nih.items():
        if value and not folders.nih:
            raise UsageError(f"{option} goes with --nih.", hint="Name the folder with the images that it is about.")
    if samples and not (folders.nih or folders.coco):
        raise UsageError("--samples goes with --nih or --dataset coco.")
    if folders.openi or folders.coco:
        option = "--openi" if folders.openi else "--dataset coco"
        require_extra(f"cxreport evaluate {option}", extra="evaluate", package="pycocoevalcap")


def _folders(openi: Path | None, nih: list[Path], dataset: Dataset | None, data: list[Path]) -> _Folders:
    """Folders of Open-I, NIH and COCO, from options of their own or from ``--dataset`` and ``--data``."""
    if (dataset is None) != (not data):
        raise UsageError("--dataset and --data go together.", hint="For example: --dataset coco --data DIR")
    if dataset is None:
        return _Folders(openi, nih, coco=None)
    if dataset is Dataset.NIH:
        return _Folders(openi, nih + data, coco=None)
    if len(data) > 1 or (dataset is Dataset.OPENI and openi):
        raise UsageError(f"One folder of {dataset} can be measured at a time.")
    if dataset is Dataset.OPENI:
        return _Folders(data[0], nih, coco=None)
    return _Folders(openi, nih, coco=data[0])


def _plot(figures: Evaluation | Comparison, path: Path) -> None:
    """Draw the reliability diagrams."""
    from cxreport.evaluate.run import Evaluation
    from cxreport.evaluate.tables.reliability_plot import reliability_plot

    if isinstance(figures, Evaluation) and figures.nih:
        reliability_plot(figures.nih.reliability).save(path, format="PNG")


def _write(figures: Evaluation | Comparison, json_: bool, out: str | None) -> None:
    """Write the tables, or JSON, to a file or stdout."""
    from rich.console import Console

    from cxreport.cli.command.result import write_result
    from cxreport.evaluate.run import Evaluation, to_json
    from cxreport.evaluate.tables.compare import render_comparison
    from cxreport.evaluate.tables.evaluation import render

    if json_:
        text = json.dumps(to_json(figures), indent=2, allow_nan=False) + "\n"
    else:
        on_terminal = out is None and sys.stdout.isatty()
        console = Console(file=sys.stdout) if on_terminal else Console(width=FILE_WIDTH, color_system=None)
        with console.capture() as capture:
            tables = render(figures) if isinstance(figures, Evaluation) else render_comparison(figures)
            console.print(tables, crop=False)
        text = capture.get()
    write_result(text, out)
