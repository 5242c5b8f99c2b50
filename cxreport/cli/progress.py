"""Progress on stderr: a spinner and a count on the last line of the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from cxreport.cli.errors import say

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


class Progress:
    """Spinner, count and time; nothing where they are not shown."""

    def __init__(self, visible: bool) -> None:
        self._bar = _bar() if visible else None

    def __enter__(self) -> Progress:
        self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()

    def count(self, done: int, unit: str = "studies") -> None:
        """Show how many are done."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], description=f"{done} {unit} done")

    def say(self, *lines: str) -> None:
        """Write lines to stderr in place of the spinner, which follows them."""
        with self.hidden():
            say(*lines)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Clear the line while the body writes."""
        self._stop()
        try:
            yield
        finally:
            self._start()

    def _start(self) -> None:
        if self._bar is not None:
            self._bar.start()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def _bar() -> Bar:
    """A line that rich draws; without one, a run needs none of it."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    bar = Progress(
        *(SpinnerColumn("line"), TextColumn("{task.description}"), TimeElapsedColumn()),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    bar.add_task("loading the model")
    return bar
