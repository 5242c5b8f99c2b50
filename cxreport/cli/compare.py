"""The part of `cxreport evaluate` that compares bundles and training runs."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cxreport.errors import MissingExtraError, UsageError
from cxreport.model.choices import Precision

if TYPE_CHECKING:
    from cxreport.evaluate.compare import Comparison
    from cxreport.evaluate.drafting import EvaluateOptions

_RUN_FILE = "run.json"
_EXAMPLE = "For example: cxreport evaluate --compare RUN1 RUN2 --nih DIR --openi DIR"
_EXPORT = "Export it first, with `cxreport export --int8`, and compare the bundle."


def check_comparison(
    wanted: bool, runs: Sequence[Path], openi: Path | None, nih: Sequence[Path], others: Mapping[str, object]
) -> None:
    """Refuse arguments that do not go together.

    Args:
        wanted: whether ``--compare`` was given.
        runs: bundles and run folders to compare.
        openi: folder of Open-I.
        nih: folders of NIH ChestX-ray14.
        others: options that mean nothing to a comparison -> what was given.

    Raises:
        UsageError: they do not.
    """
    if not wanted:
        raise UsageError("RUN goes with --compare.", hint=_EXAMPLE)
    if not runs:
        raise UsageError("--compare needs bundles or run folders.", hint=_EXAMPLE)
    if not (openi and nih):
        raise UsageError("--compare needs both --nih and --openi.", hint=_EXAMPLE)
    for option, given in others.items():
        if given:
            raise UsageError(f"{option} does not go with --compare.", hint=_EXAMPLE)


def compare(
    runs: Sequence[Path], openi: Path, nih: Sequence[Path], options: EvaluateOptions, precision: Precision
) -> Comparison:
    """Compare bundles, and training runs as the bundles that they come to.

    Raises:
        UsageError: a folder is neither, data are missing, or a training run is to run in int8.
        BundleError: a bundle lacks the precision.
        MissingExtraError: there is a training run, and no torch.
        CxreportError: a run cannot be exported, or a study failed.
    """
    from cxreport.evaluate.compare import compare as measure

    with _as_bundles(runs, precision) as bundles:
        return measure(bundles, openi, nih, options, precision)


@contextmanager
def _as_bundles(runs: Sequence[Path], precision: Precision) -> Iterator[list[Path]]:
    """The folders of bundles; those of training runs are exported for as long as the body runs."""
    from cxreport.model.bundle import MANIFEST_FILE

    bundles = [run for run in runs if (run / MANIFEST_FILE).is_file()]
    trained = [run for run in runs if run not in bundles]
    for run in trained:
        if not (run / _RUN_FILE).is_file():
            raise UsageError(
                f"{run}: neither a bundle ({MANIFEST_FILE}) nor a finished training run ({_RUN_FILE}).", hint=_EXAMPLE
            )
        if precision is Precision.INT8:
            raise UsageError(f"{run}: a training run has no int8 precision.", hint=_EXPORT)
    if trained and importlib.util.find_spec("torch") is None:
        raise MissingExtraError("Comparing a training run, which has to be exported first,", "train")
    with tempfile.TemporaryDirectory(prefix="cxreport-") as folder:
        yield [_export(run, Path(folder) / str(i)) if run in trained else run for i, run in enumerate(runs)]


def _export(run: Path, out: Path) -> Path:
    """Export a training run."""
    from cxreport.train.export.run import export

    export(run, out)
    return out
