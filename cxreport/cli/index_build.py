"""`cxreport index build`: an index of reports and images."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cxreport.cli.errors import diagnostics, errors_handled, exit_code, exits_with, say
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
    Salt,
    Timeout,
    Verbose,
    Workers,
    input_option,
    listed,
    output_option,
)
from cxreport.errors import ExitCode, NothingReadableError, UsageError
from cxreport.model.choices import Device, Precision
from cxreport.reading.limits import DEFAULT_TIMEOUT, reader_limits

if TYPE_CHECKING:
    from cxreport.cli.progress import Progress
    from cxreport.datasets.report_files import WrittenReport
    from cxreport.retrieval.index_file import Entry, IndexWriter
    from cxreport.types import Failure, Study

_Item = TypeVar("_Item", "WrittenReport", "Study")

Collection = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATHS",
        help="Reports (Open-I XML, JSON Lines, CSV), images, and folders; - reads a list of paths from stdin.",
    ),
]
Out = Annotated[Path, output_option("--out", "-o", metavar="INDEX", help="File to write.", show_default=False)]
Ids = Annotated[Path | None, input_option(metavar="FILE", help="Take only the ids of this file, one a line.")]


@exits_with(ExitCode.NOTHING_READABLE, ExitCode.BUNDLE, ExitCode.SOME_FAILED)
def build(
    out: Out,
    paths: Collection = None,
    ids: Ids = None,
    group_by: Grouping = GroupBy.STUDY,
    max_megapixels: MaxMegapixels = 100.0,
    timeout: Timeout = DEFAULT_TIMEOUT,
    salt: Salt = None,
    force: Force = False,
    workers: Workers = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    bundle: Bundle = None,
    device: DeviceOption = Device.AUTO,
    precision: PrecisionOption = Precision.AUTO,
    batch_size: BatchSize = 32,
) -> None:
    """Embed reports and images, and write them to a file to search.

    CSV has columns id and findings, impression or text; JSON Lines have the
    same names, or are records of `generate --json`. A folder stands for its
    Open-I reports and for the images below it. Reports are kept word for
    word in the index. Reports without Findings and Impression are left out.
    """
    with errors_handled(verbose), diagnostics(quiet, verbose):
        if not paths:
            raise UsageError("Nothing to read.", hint="Name files or folders of reports or images.")
        selection = _Selection(ids)

        from contextlib import closing
        from itertools import chain

        from cxreport.cli.progress import Progress
        from cxreport.datasets.report_files import read_reports, sort_paths
        from cxreport.model.precision import load_model
        from cxreport.reading.ahead import read_ahead
        from cxreport.reading.study import ReadOptions
        from cxreport.reading.workers import Processes
        from cxreport.retrieval.embed import embed_images, embed_reports
        from cxreport.retrieval.index import check_text_encoder
        from cxreport.retrieval.index_file import IndexWriter

        with Progress(visible=not quiet and sys.stderr.isatty()) as progress:
            model = load_model(bundle, device=device, precision=precision, side_by_side=True)
            check_text_encoder(model.manifest)
            report_paths, image_paths = sort_paths(listed(paths))
            reports = selection.with_listed_id(selection.with_text(read_reports(report_paths)))
            shape = model.manifest.input_shape
            options = ReadOptions(
                force=force, group_by=group_by.value, max_megapixels=max_megapixels, salt=salt, side=shape.size
            )
            processes = Processes(reader_limits(timeout, max_megapixels))
            studies = read_ahead(image_paths, options, shape, workers, processes)
            entries = chain(
                embed_reports(model, reports, batch_size),
                embed_images(model, selection.with_listed_id(studies), batch_size, force),
            )
            with closing(studies), IndexWriter(out, model.manifest) as writer:
                tally = _write(entries, writer, progress, quiet)
                if not tally[ExitCode.OK]:
                    raise NothingReadableError("No report and no image to index.", hint=selection.hint())
        if not quiet:
            counts = ", ".join(f"{kind}s: {number}" for kind, number in writer.counts.items())
            failures = tally.total() - tally[ExitCode.OK]
            say(f"{out}: {counts}, left out without a section: {selection.empty}, failed: {failures}")
            selection.warn_of_absent()
        raise typer.Exit(exit_code(tally))


def _write(
    outcomes: Iterable[Entry | Failure], writer: IndexWriter, progress: Progress, quiet: bool
) -> Counter[ExitCode]:
    """Write entries as they come, and report failures and warnings on stderr."""
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
            progress.say(*lines)
        progress.count(tally.total(), "entries")
    return tally


class _Selection:
    """Reports and images to index out of those that are read, and counts of those left out.

    Args:
        path: file of the ids to take, one a line; None takes all.

    Raises:
        UsageError: the file cannot be read.
    """

    def __init__(self, path: Path | None) -> None:
        self.empty = 0
        """Reports without a section."""
        self._path = path
        self._ids: set[str] | None = None
        self._passed: set[str] = set()
        if path is not None:
            try:
                lines = path.read_text(encoding="utf-8-sig").splitlines()
            except (OSError, UnicodeError) as error:
                raise UsageError(f"{path}: cannot be read as text.") from error
            self._ids = {line.strip() for line in lines if line.strip()}

    def with_listed_id(self, items: Iterable[_Item | Failure]) -> Iterator[_Item | Failure]:
        """Pass on the items whose ids are listed, all where there is no list, and all failures."""
        from cxreport.types import Failure

        for item in items:
            if isinstance(item, Failure) or self._ids is None or item.id in self._ids:
                self._passed.add(item.id)
                yield item

    def with_text(self, reports: Iterable[WrittenReport | Failure]) -> Iterator[WrittenReport | Failure]:
        """Pass on the reports with a section, and all failures; count the others."""
        from cxreport.types import Failure

        for report in reports:
            if isinstance(report, Failure) or report.text:
                yield report
            else:
                self.empty += 1

    def hint(self) -> str:
        """Next step where nothing is left to index."""
        if self._ids is not None:
            return "Check that --ids lists the ids as the reports have them."
        return "Name Open-I XML, JSON Lines or CSV with reports, or images, or folders that hold some."

    def warn_of_absent(self) -> None:
        """Warn of listed ids that no report or image has."""
        absent = (self._ids or set()) - self._passed
        if absent:
            say(f"warning: {len(absent)} of the ids in {self._path} belong to no report or image among the inputs.")
