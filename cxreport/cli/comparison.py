"""`cxreport evaluate --compare`: bundles, and training runs as the bundles that they become."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cxreport.cli.errors import require_extra
from cxreport.errors import UsageError
from cxreport.model.choices import Precision

if TYPE_CHECKING:
    from cxreport.evaluate.compare import Comparison
    from cxreport.evaluate.drafting import EvaluateOptions

_RUN_FILE = "run.json"
_EXAMPLE = "For example: cxreport evaluate --compare RUN1 RUN2 --nih DIR --openi DIR"
_EXPORT = "Export it first, with `cxreport export --int8`, and compare the bundle."


def check_comparison(
    compare: bool, runs: Sequence[Path], openi: Path | None, nih: Sequence[Path], excluded: Mapping[str, object]
) -> None:
    """Refuse arguments that do not go together.

    Args:
        compare: True for ``--compare``.
        runs: bundles and run folders to compare.
        openi: folder of Open-I.
        nih: folders of NIH ChestX-ray14.
        excluded: options without a meaning for a comparison -> their values.

    Raises:
        UsageError: they do not.
    """
    if not compare:
        raise UsageError("RUN goes with --compare.", hint=_EXAMPLE)
    if not runs:
        raise UsageError("--compare needs bundles or run folders.", hint=_EXAMPLE)
    if not (openi and nih):
        raise UsageError("--compare needs both --nih and --openi.", hint=_EXAMPLE)
    for option, value in excluded.items():
        if value:
            raise UsageError(f"{option} does not go with --compare.", hint=_EXAMPLE)


def compare_runs(
    runs: Sequence[Path], openi: Path, nih: Sequence[Path], options: EvaluateOptions, precision: Precision
) -> Comparison:
    """Compare bundles, and training runs as the bundles that they become.

    Raises:
        UsageError: a folder is neither, data are missing, or a training run is to run in int8.
        BundleError: a bundle lacks the precision.
        MissingExtraError: there is a training run, and no torch.
        CxreportError: a run cannot be exported, or a study failed.
    """
    from cxreport.evaluate.compare import compare

    with _as_bundles(runs, precision) as bundles:
        return compare(bundles, openi, nih, options, precision)


@contextmanager
def _as_bundles(runs: Sequence[Path], precision: Precision) -> Iterator[list[Path]]:
    """Folders of bundles; those of training runs are exported for as long as the body runs."""
    from cxreport.model.bundle import MANIFEST_FILE

    training_runs = [run for run in runs if not (run / MANIFEST_FILE).is_file()]
    for run in training_runs:
        if not (run / _RUN_FILE).is_file():
            raise UsageError(
                f"{run}: neither a bundle ({MANIFEST_FILE}) nor a finished training run ({_RUN_FILE}).", hint=_EXAMPLE
            )
        if precision is Precision.INT8:
            raise UsageError(f"{run}: a training run has no int8 precision.", hint=_EXPORT)
    if training_runs:
        require_extra("Comparing a training run, which has to be exported first,", extra="train", package="torch")
    with tempfile.TemporaryDirectory(prefix="cxreport-") as folder:
        yield [_export(run, Path(folder) / str(i)) if run in training_runs else run for i, run in enumerate(runs)]


def _export(run: Path, out: Path) -> Path:
    """Export a training run."""
    from cxreport.train.export.run import export

    export(run, out)
    return out
