"""`cxreport index build` and `cxreport index info`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from cxreport.cli.errors import diagnostics, errors_handled, exit_code, say
from cxreport.cli.options import (
    BatchSize,
    Bundle,
    DeviceOption,
    Force,
    GroupBy,
    Grouping,
    MaxMegapixels,
    PrecisionOption,
    Quiet,
    Verbose,
    Workers,
    listed,
)
from cxreport.errors import ExitCode, NothingReadableError, UsageError
from cxreport.model.choices import Device, Precision

if TYPE_CHECKING:
    from cxreport.cli.progress import Progress
    from cxreport.datasets.report_files import WrittenReport
    from cxreport.retrieval.index_file import Entry, IndexWriter
    from cxreport.types import Failure, Study

_Item = TypeVar("_Item", "WrittenReport", "Study")

app = typer.Typer(no_args_is_help=True)

Index = Annotated[Path, typer.Argument(metavar="INDEX", help="File that `cxreport index build` wrote.")]
Collection = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATHS...",
        help="Reports (Open-I XML, JSON Lines, CSV), images, and folders; - reads a list of paths from stdin.",
    ),
]
Out = Annotated[
    Path,
    typer.Option("--out", "-o", metavar="INDEX", help="File to write.", rich_help_panel="Output", show_default=False),
]
Ids = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Take only the ids of this file, one a line.", rich_help_panel="Input"),
]


@app.callback()
def _index() -> None:
    """Build and describe indexes of reports and images for `cxreport retrieve`."""


@app.command()
def build(
    out: Out,
    paths: Collection = None,
    ids: Ids = None,
    group_by: Grouping = GroupBy.STUDY,
    max_megapixels: MaxMegapixels = 100.0,
    force: Force = False,
    workers: Workers = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    model: Bundle = None,
    device: DeviceOption = Device.AUTO,
    precision: PrecisionOption = Precision.AUTO,
    batch_size: BatchSize = 32,
) -> None:
    """Embed reports and images, and write them to a file to search.

    CSV has columns id and findings, impression or text; JSON Lines have the
    same names, or are records of `generate --json`. A folder stands for its
    Open-I reports and for the images below it. Reports are kept word for
    word in the index. Reports without Findings and Impression are left out.

    Exit codes: 0 all done, 1 unexpected error, 2 usage, 3 nothing to
    index, 4 bundle unusable, 6 some inputs failed, 130 interrupted.
    """
    with errors_handled(verbose), diagnostics(quiet, verbose):
        if not paths:
            raise UsageError("Nothing to read.", hint="Name files or folders of reports or images.")
        choice = _Choice(ids)

        from contextlib import closing
        from itertools import chain

        from cxreport.cli import progress as _cli_run
        from cxreport.datasets import report_files
        from cxreport.model import bundle
        from cxreport.model import precision as loading
        from cxreport.reading import ahead, study
        from cxreport.retrieval.embed import embed_images, embed_reports
        from cxreport.retrieval.index import check_text_encoder
        from cxreport.retrieval.index_file import IndexWriter

        with _cli_run.Progress(shown=not quiet and sys.stderr.isatty()) as progress:
            loaded = loading.load_model(bundle.find_bundle(model), device.value, precision.value, side_by_side=True)
            check_text_encoder(loaded.manifest)
            report_paths, image_paths = report_files.sort_paths(listed(paths))
            reports = choice.of(choice.with_text(report_files.read_reports(report_paths)))
            shape = loaded.manifest.input_shape
            limits = study.ReadOptions(force, group_by.value, max_megapixels, side=shape.size)
            studies = ahead.read_ahead(image_paths, limits, shape, workers)
            outcomes = chain(
                embed_reports(loaded, reports, batch_size),
                embed_images(loaded, choice.of(studies), batch_size, force),
            )
            with closing(studies), IndexWriter(out, loaded.manifest) as writer:
                tally = _write(outcomes, writer, progress, quiet)
                if not tally[ExitCode.OK]:
                    raise NothingReadableError("No report and no image to index.", hint=choice.hint())
        if not quiet:
            counts = ", ".join(f"{kind}s: {number}" for kind, number in writer.counts.items())
            failed = tally.total() - tally[ExitCode.OK]
            say(f"{out}: {counts}, left out without a section: {choice.empty}, failed: {failed}")
            choice.tell_unseen()
        raise typer.Exit(exit_code(tally))


@app.command()
def info(
    index: Index,
    json_: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Tell what an index holds and which bundle it belongs to. Loads no model."""
    with errors_handled():
        from cxreport.retrieval.index import open_index

        opened = open_index(index)
        file = opened.file
        facts: dict[str, Any] = {
            "path": str(index),
            "bytes": file.bytes,
            "reports": opened.counts["report"],
            "images": opened.counts["image"],
            "embedding": int(file.embeddings.shape[1]),
            "model": {"name": file.bundle_name, "version": file.bundle_version, "sha256": file.bundle_sha256},
        }
        if json_:
            typer.echo(json.dumps(facts, indent=2))
        else:
            facts |= {"model": f"{file.bundle_name} {file.bundle_version}", "sha256": file.bundle_sha256}
            typer.echo("\n".join(f"{name:<16}{value}" for name, value in facts.items()))


def _write(
    outcomes: Iterable[Entry | Failure], writer: IndexWriter, progress: Progress, quiet: bool
) -> Counter[ExitCode]:
    """Write entries as they come, and tell of failures."""
    from cxreport.types import Failure

    tally: Counter[ExitCode] = Counter()
    for outcome in outcomes:
        if isinstance(outcome, Failure):
            tally[outcome.error.exit_code] += 1
            lines = [] if quiet else [f"failed: {outcome.id}: {outcome.error.message}"]
        else:
            writer.add(outcome)
            tally[ExitCode.OK] += 1
            lines = [] if quiet else [f"warning: {outcome.id}: {warning}" for warning in outcome.warnings]
        if lines:
            with progress.hidden():
                say("\n".join(lines))
        progress.count(tally.total(), "entries")
    return tally


class _Choice:
    """What is taken of what is read, and how much was left out."""

    def __init__(self, ids: Path | None) -> None:
        self.empty = 0
        """Reports without a section."""
        self._ids: set[str] | None = None
        self._seen: set[str] = set()
        if ids is not None:
            try:
                lines = ids.read_text(encoding="utf-8-sig").splitlines()
            except (OSError, UnicodeError) as error:
                raise UsageError(f"{ids}: cannot be read as text.") from error
            self._ids = {line.strip() for line in lines if line.strip()}

    def of(self, items: Iterable[_Item | Failure]) -> Iterator[_Item | Failure]:
        """Take what the list of ids names, where there is one, and all failures."""
        from cxreport.types import Failure

        for item in items:
            if isinstance(item, Failure) or self._ids is None or item.id in self._ids:
                self._seen.add(item.id)
                yield item

    def with_text(self, reports: Iterable[WrittenReport | Failure]) -> Iterator[WrittenReport | Failure]:
        """Leave out and count the reports without a section."""
        from cxreport.types import Failure

        for report in reports:
            if isinstance(report, Failure) or report.text:
                yield report
            else:
                self.empty += 1

    def hint(self) -> str:
        """Say why nothing may have been found."""
        if self._ids is not None:
            return "Check that --ids lists the ids as the reports have them."
        return "Name Open-I XML, JSON Lines or CSV with reports, or images, or folders that hold some."

    def tell_unseen(self) -> None:
        """Warn of listed ids that did not come."""
        unseen = (self._ids or set()) - self._seen
        if unseen:
            say(f"warning: {len(unseen)} of the listed ids did not come.")
