"""What `cxreport generate` shows on stderr while its results are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from cxreport import DISCLAIMER
from cxreport.cli.errors import exit_code, say
from cxreport.cli.output import Writer, make_writer
from cxreport.errors import ExitCode, NothingReadableError
from cxreport.model.manifest import Manifest
from cxreport.output.formats import OutputFormat
from cxreport.types import Failure, Outcome


class Progress:
    """A spinner and a count on the terminal's last line; nothing where it is not shown."""

    def __init__(self, shown: bool) -> None:
        columns = (SpinnerColumn("line"), TextColumn("{task.description}"), TimeElapsedColumn())
        self._bar = Bar(
            *columns,
            console=Console(stderr=True),
            disable=not shown,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("loading the model")

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def count(self, done: int, what: str = "studies") -> None:
        """Show how many are done."""
        self._bar.update(self._task, description=f"{done} {what} done")

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Clear the line while the body writes."""
        self._bar.stop()
        try:
            yield
        finally:
            self._bar.start()


def write_all(
    outcomes: Iterable[Outcome],
    manifest: Manifest,
    output_format: OutputFormat,
    out: str | None,
    progress: Progress,
    quiet: bool,
) -> ExitCode:
    """Write outcomes as they come, and say on stderr what the result does not show.

    Returns:
        The exit code of the run.

    Raises:
        NothingReadableError: there was no outcome.
    """
    seen_in_result = output_format.shows_warnings and out is None
    tally: Counter[ExitCode] = Counter()
    if not quiet:
        with progress.hidden():
            say(DISCLAIMER)
    with _closing(make_writer(output_format, out, manifest)) as writer:
        for outcome in outcomes:
            with progress.hidden():
                writer.write(outcome)
                if not quiet and not seen_in_result:
                    _tell(outcome)
            tally[outcome.error.exit_code if isinstance(outcome, Failure) else ExitCode.OK] += 1
            progress.count(tally.total())
        if not tally:
            raise NothingReadableError("No study among the inputs.")
    if not quiet and tally.total() > 1:
        say(f"{tally.total()} studies: {tally[ExitCode.OK]} drafted, {tally.total() - tally[ExitCode.OK]} failed.")
    return exit_code(tally)


@contextmanager
def _closing(writer: Writer) -> Iterator[Writer]:
    """Close a writer as complete, or as incomplete when the body is cut short."""
    complete = False
    try:
        yield writer
        complete = True
    finally:
        left = writer.close(complete)
        if left is not None:
            say(f"results so far: {left}")


def _tell(outcome: Outcome) -> None:
    """Repeat on stderr what needs attention."""
    if isinstance(outcome, Failure):
        say(f"failed: {outcome.id}: {outcome.error.message}")
        return
    for warning in outcome.warnings:
        say(f"warning: {outcome.study.id}: {warning}")
