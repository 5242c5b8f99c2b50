"""Output of `cxreport generate`: to stdout, a file, or a folder with a file per study, with messages on stderr."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cxreport.cli.errors import check_interrupt, exit_code, interrupt_held, say
from cxreport.errors import ExitCode, NothingReadableError, OutputError, UsageError
from cxreport.output.destinations import is_special, names_folder, open_special, target_of
from cxreport.output.formats import OutputFormat
from cxreport.output.formatters import Formatter, StudyFormatter
from cxreport.output.writers import OneStudyWriter, StreamWriter, Writer
from cxreport.types import Failure

if TYPE_CHECKING:
    from cxreport.cli.progress import Progress
    from cxreport.journal import Claim, Mark
    from cxreport.output.drafting_model import DraftingModel
    from cxreport.types import Outcome


def write_all(
    outcomes: Iterable[Outcome], writer: Writer, progress: Progress, quiet: bool, mark: Callable[[], Mark] | None = None
) -> ExitCode:
    """Write outcomes as they come, and repeat on stderr the failures and warnings that the writer does not show.

    Args:
        outcomes: reports and failures.
        writer: takes them.
        progress: shows their number.
        quiet: say nothing but errors.
        mark: gives the mark of the next outcome, where the writer is resumable.

    Returns:
        The exit code of the run.

    Raises:
        NothingReadableError: there was no outcome.
    """
    tally: Counter[ExitCode] = Counter()
    with _closing(writer):
        if not quiet:
            for note in writer.notes:
                progress.say(f"note: {note}")
        for outcome in outcomes:
            with progress.hidden():
                with interrupt_held():
                    outcome = writer.write(outcome, mark() if mark else None)
                if not (quiet or writer.shows_warnings):
                    _repeat(outcome)
            tally[outcome.error.exit_code if isinstance(outcome, Failure) else ExitCode.OK] += 1
            progress.count(tally.total() + writer.kept)
            check_interrupt()
        if writer.kept:
            tally[ExitCode.OK] += writer.kept
        if not tally:
            raise NothingReadableError("No study among the inputs.")
    if not quiet and tally.total() > 1:
        kept = f" {writer.kept} of them in an earlier run." if writer.kept else ""
        drafted = tally[ExitCode.OK]
        say(f"{tally.total()} studies: {drafted} drafted, {tally.total() - drafted} failed.{kept}")
    return exit_code(tally)


def claim_output(out: str | None) -> AbstractContextManager[Claim | None]:
    """Claim what ``--out`` names, before anything slow is done: the folder where it is one or ends with a slash.

    Raises:
        UsageError: it cannot be written, or another run writes to it.
    """
    if not out:
        return nullcontext()
    from cxreport.journal import Claim

    if names_folder(out):
        folder = Path(out)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder}: cannot be made ({error.strerror}).") from error
        return Claim(folder, is_folder=True)
    return nullcontext() if is_special(out) else Claim(target_of(out))


def make_writer(
    formats: Sequence[OutputFormat],
    model: DraftingModel,
    out: str | None,
    claim: Claim | None,
    settings: Mapping[str, str],
    resume: bool = False,
    plain: bool = False,
) -> Writer:
    """Choose the writer: to what is claimed, else a special file, else stdout.

    Args:
        formats: of the documents; several only for a folder.
        model: that drafted the reports.
        out: value of ``--out``.
        claim: of the file or folder that it names; None for a special file, and without ``--out``.
        settings: what the results depend on besides the studies, as a journal keeps them.
        resume: finish an interrupted run.
        plain: leave out the figures behind sentences, as ``--plain`` asks for.

    Raises:
        UsageError: it cannot be written, or an interrupted run left results there.
    """
    named = {row.name: row.formatter(model, None if out else sys.stdout, plain) for row in formats}
    for each in named.values():
        each.beside = named
    formatters = {row.suffix: named[row.name] for row in formats}
    if claim is not None and claim.target.is_dir():
        from cxreport.output.file_writers import FolderWriter

        return FolderWriter(formatters, claim, settings, resume)
    (formatter,) = formatters.values()
    if isinstance(formatter, StudyFormatter):
        return _one_study_writer(formatter, out, claim)
    assert isinstance(formatter, Formatter)
    if not out:
        return StreamWriter(formatter, sys.stdout, formats[0].shows_warnings)
    if claim is None:
        return StreamWriter(formatter, open_special(out), name=out, owned=True)
    from cxreport.output.file_writers import FileWriter

    return FileWriter(formatter, claim, settings, resume)


def _one_study_writer(formatter: StudyFormatter, out: str | None, claim: Claim | None) -> Writer:
    """Choose where the document of one study goes."""
    if claim is not None:
        from cxreport.output.file_writers import put_file

        target = claim.target
        return OneStudyWriter(formatter, lambda content: put_file(target, content), claim.release, str(target))
    stream = open_special(out) if out else sys.stdout

    def put(content: bytes) -> None:
        stream.buffer.write(content)
        stream.flush()

    return OneStudyWriter(formatter, put, stream.close if out else stream.flush, out or "stdout")


@contextmanager
def _closing(writer: Writer) -> Iterator[None]:
    """Close a writer as complete, or as incomplete when the body is cut short."""
    try:
        yield
    except BaseException:
        partial_path = None
        with interrupt_held(), suppress(OutputError):
            partial_path = writer.close(False)
        if partial_path is not None:
            say(f"results so far: {partial_path}", "to finish: the same command with --resume")
        raise
    with interrupt_held():
        writer.close(True)


def _repeat(outcome: Outcome) -> None:
    """Say on stderr why a study failed, or what its report warns of."""
    if isinstance(outcome, Failure):
        say(f"failed: {outcome.id}: {outcome.error.message}")
        return
    for warning in outcome.warnings:
        say(f"warning: {outcome.study.id}: {warning}")
