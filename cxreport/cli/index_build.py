"""`cxreport index build`: an index of reports and images."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cxreport import __version__
from cxreport.cli.errors import (
    check_interrupt,
    diagnostics,
    errors_handled,
    exit_code,
    exits_with,
    interrupt_held,
    say,
)
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
    Resume,
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
from cxreport.reading.processes.limits import DEFAULT_TIMEOUT, reader_limits

if TYPE_CHECKING:
    from cxreport.cli.progress import Progress
    from cxreport.datasets.report_files import WrittenReport
    from cxreport.journal import Claim
    from cxreport.model.session import Model
    from cxreport.reading.study import ReadOptions
    from cxreport.retrieval.entry_log import EntryLog, EntryMarks
    from cxreport.retrieval.index_file import Entry
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
    resume: Resume = False,
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
    with errors_handled(verbose), diagnostics(quiet, verbose), ExitStack() as stack:
        if not paths:
            raise UsageError("Nothing to read.", hint="Name files or folders of reports or images.")
        selection = _Selection(ids)
        claim = stack.enter_context(_claim(out))

        from contextlib import closing
        from itertools import chain

        from cxreport.cli.progress import Progress
        from cxreport.datasets.report_files import read_reports, sort_paths
        from cxreport.model.precision import load_model
        from cxreport.output.destinations import require_no_input
        from cxreport.reading.ahead import read_ahead
        from cxreport.reading.processes.workers import Processes
        from cxreport.reading.study import ReadOptions
        from cxreport.retrieval.embed import embed_images, embed_reports
        from cxreport.retrieval.entry_log import EntryLog, EntryMarks
        from cxreport.retrieval.index import check_text_encoder
        from cxreport.retrieval.index_file import IndexWriter

        require_no_input(claim.target, paths, replaces_texts=False)

        with Progress(visible=not quiet and sys.stderr.isatty()) as progress:
            model = load_model(bundle, device=device, precision=precision, side_by_side=True)
            check_text_encoder(model.manifest)
            shape = model.manifest.input_shape
            options = ReadOptions(
                force=force,
                group_by=group_by.value,
                max_megapixels=max_megapixels,
                salt=salt,
            ).fitting(shape)
            with _closing(EntryLog(claim, _settings(model, options), resume)) as entry_log:
                if entry_log.differing and not quiet:
                    progress.say(f"note: nothing is kept, other settings: {', '.join(entry_log.differing)}")
                marks = EntryMarks(lambda mark: entry_log.is_done(mark) and selection.passed(mark.id))
                report_paths, image_paths = sort_paths(listed(paths))
                reports = selection.with_listed_id(selection.with_text(read_reports(report_paths)))
                processes = Processes(reader_limits(timeout, max_megapixels))
                studies = read_ahead(image_paths, options, shape, workers, marks.undone, processes)
                outcomes = chain(
                    embed_reports(model, marks.of_reports(reports), batch_size),
                    embed_images(model, selection.with_listed_id(studies), batch_size, force),
                )
                with processes, closing(studies):
                    tally = _log(outcomes, entry_log, marks, progress, quiet)
                if not tally[ExitCode.OK]:
                    raise NothingReadableError("No report and no image to index.", hint=selection.hint())
                with IndexWriter(claim.target, model.manifest) as writer:
                    for entry in entry_log.entries():
                        writer.add(entry)
        if not quiet:
            counts = ", ".join(f"{kind}s: {number}" for kind, number in writer.counts.items())
            failures = tally.total() - tally[ExitCode.OK]
            say(f"{out}: {counts}, left out without a section: {selection.empty}, failed: {failures}")
            selection.warn_of_absent()
        raise typer.Exit(exit_code(tally))


def _claim(out: Path) -> Claim:
    """Claim the file of the index, behind a link; it is read and written in places, which nothing but a file allows."""
    from cxreport.journal import Claim
    from cxreport.output.destinations import is_special, target_of

    if out.is_dir():
        raise UsageError(f"{out}: is a folder.", hint="Name the file that becomes the index.")
    if is_special(str(out)):
        raise UsageError(f"{out}: is no regular file.", hint="Name the file that becomes the index.")
    return Claim(target_of(str(out)))


def _settings(model: Model, options: ReadOptions) -> dict[str, str]:
    """All that entries depend on besides reports and images, by the names that users know."""
    from cxreport.reading.pseudonym import salt_digest

    return {
        "version": __version__,
        "bundle": model.manifest.sha256,
        "precision": str(model.manifest.precision),
        "device": str(model.device),
        "group-by": options.group_by,
        "max-megapixels": str(options.max_megapixels),
        "salt": salt_digest(options.salt),
        "force": str(options.force),
    }


@contextmanager
def _closing(entry_log: EntryLog) -> Iterator[EntryLog]:
    """Close a log, which stays where the body is cut short."""
    try:
        yield entry_log
    except BaseException:
        with interrupt_held():
            stays = entry_log.close(complete=False)
        if stays:
            say("to finish: the same command with --resume")
        raise
    entry_log.close(complete=True)


def _log(
    outcomes: Iterable[Entry | Failure], entry_log: EntryLog, marks: EntryMarks, progress: Progress, quiet: bool
) -> Counter[ExitCode]:
    """Log entries as they come, and report failures and warnings on stderr."""
    from cxreport.types import Failure

    tally: Counter[ExitCode] = Counter()
    for outcome in outcomes:
        with interrupt_held():
            entry_log.add(outcome, marks.of(outcome))
        if isinstance(outcome, Failure):
            tally[outcome.error.exit_code] += 1
            lines = [] if quiet else [f"failed: {outcome.id}: {outcome.error.message}"]
        else:
            tally[ExitCode.OK] += 1
            lines = [] if quiet else [f"warning: {outcome.id}: {warning}" for warning in outcome.warnings]
        if lines:
            progress.say(*lines)
        progress.count(tally.total() + entry_log.kept, "entries")
        check_interrupt()
    if entry_log.kept:
        tally[ExitCode.OK] += entry_log.kept
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

    def passed(self, id_: str) -> bool:
        """True for a listed id, and where there is no list; it counts as one that was met with."""
        self._passed.add(id_)
        return self._ids is None or id_ in self._ids

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
