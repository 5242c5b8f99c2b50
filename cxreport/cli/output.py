"""Output of `cxreport generate`: to stdout, a file, or a folder with a file per study, with messages on stderr."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cxreport.cli.errors import check_interrupt, exit_code, interrupt_held, say
from cxreport.errors import ExitCode, NothingReadableError, OutputError, UsageError
from cxreport.output.destinations import is_special, open_special, target_of
from cxreport.output.formats import Formatter, OutputFormat
from cxreport.output.writers import StreamWriter, Writer
from cxreport.types import Failure

if TYPE_CHECKING:
    from cxreport.cli.progress import Progress
    from cxreport.journal import Claim, Mark
    from cxreport.reading.parts import Part
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
                    writer.write(outcome, mark() if mark else None)
                if not (quiet or writer.shows_warnings):
                    _repeat(outcome)
            tally[outcome.error.exit_code if isinstance(outcome, Failure) else ExitCode.OK] += 1
            progress.count(tally.total() + writer.kept)
            check_interrupt()
        if writer.kept:
            tally[ExitCode.OK] += writer.kept
        if not tally:
            if not writer.left:
                raise NothingReadableError("No study among the inputs.")
            if not quiet:
                progress.say(f"note: this part has no study; other parts have {writer.left}")
            return ExitCode.OK
    if not quiet and tally.total() > 1:
        kept = f" {writer.kept} of them in an earlier run." if writer.kept else ""
        drafted = tally[ExitCode.OK]
        say(f"{tally.total()} studies: {drafted} drafted, {tally.total() - drafted} failed.{kept}")
    return exit_code(tally)


def claim_output(out: str | None, part: Part | None = None) -> AbstractContextManager[Claim | None]:
    """Claim what ``--out`` names, before anything slow is done: the folder where it is one or ends with a slash.

    Parts of a run share a folder; a file of a part has it in its name, behind that of ``--out``.

    Raises:
        UsageError: it cannot be written, or another run writes to it.
    """
    if out is None:
        return nullcontext()
    if not out:
        raise UsageError("--out names nothing.", hint="Leave it out to write to stdout.")
    from cxreport.journal import Claim

    if out.endswith(("/", os.sep)) or Path(out).is_dir():
        folder = Path(out)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder}: cannot be made ({error.strerror}).") from error
        return Claim(folder, is_folder=True, part=part.label if part else "")
    if is_special(out):
        return nullcontext()
    target = target_of(out)
    return Claim(target.with_name(f"{target.stem}.{part.label}{target.suffix}") if part else target)


def make_writer(
    output_format: OutputFormat,
    formatter: Formatter,
    out: str | None,
    claim: Claim | None,
    settings: Mapping[str, str],
    resume: bool,
) -> Writer:
    """Choose the writer: to what is claimed, else a special file, else stdout.

    Args:
        output_format: of the documents.
        formatter: of that format.
        out: value of ``--out``.
        claim: of the file or folder that it names; None for a special file, and without ``--out``.
        settings: what the results depend on besides the studies, as a journal keeps them.
        resume: finish an interrupted run.

    Raises:
        UsageError: it cannot be written, or an interrupted run left results there.
    """
    if not out:
        return StreamWriter(formatter, sys.stdout, output_format.shows_warnings and sys.stdout.isatty())
    if claim is None:
        return StreamWriter(formatter, open_special(out), name=out, owned=True)
    from cxreport.output.file_writers import FileWriter, FolderWriter

    if claim.target.is_dir():
        return FolderWriter(formatter, claim, output_format.suffix, settings, resume)
    return FileWriter(formatter, claim, settings, resume)


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
