"""Progress on stderr: a spinner and a count on the last line of the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from cxreport.cli.errors import say


class Progress:
    """Spinner, count and time; nothing where they are not shown."""

    def __init__(self, visible: bool) -> None:
        columns = (SpinnerColumn("line"), TextColumn("{task.description}"), TimeElapsedColumn())
        self._bar = Bar(
            *columns,
            console=Console(stderr=True),
            disable=not visible,
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

    def count(self, done: int, unit: str = "studies") -> None:
        """Show how many are done."""
        self._bar.update(self._task, description=f"{done} {unit} done")

    def say(self, *lines: str) -> None:
        """Write lines to stderr in place of the spinner, which follows them."""
        with self.hidden():
            say(*lines)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Clear the line while the body writes."""
        self._bar.stop()
        try:
            yield
        finally:
            self._bar.start()
