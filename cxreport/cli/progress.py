"""Progress on stderr: a spinner, a count, the rate and the time left on the last line of the terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from cxreport.cli.errors import say

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


class Progress:
    """Spinner, count, rate and times; nothing where they are not shown."""

    def __init__(self, visible: bool) -> None:
        self._bar = _bar() if visible else None
        self._total: int | None = None
        self._first = (0, 0.0)
        """How many were done at the first one of this run, and seconds of the monotonic clock then."""

    def __enter__(self) -> Progress:
        self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()

    def expect(self, total: int) -> None:
        """Take note of how many there will be."""
        self._total = total

    def count(self, done: int, unit: str = "studies") -> None:
        """Show how many are done, of how many, and from the second on how fast and how long the rest will take."""
        if self._bar is None:
            return
        now = time.monotonic()
        if not self._first[1]:
            self._first = (done, now)
        words = _words(done, self._total, unit, self._rate(done, now))
        self._bar.update(self._bar.task_ids[0], description=words)

    def _rate(self, done: int, now: float) -> float:
        """How many a second; 0 before there is one to measure."""
        first, since = self._first
        return (done - first) / (now - since) if done > first and now > since else 0.0

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


def _words(done: int, total: int | None, unit: str, rate: float) -> str:
    """Count, rate and time left in words; ``total`` is None where it is not known."""
    parts = [f"{done} of {max(total, done)} {unit} done" if total else f"{done} {unit} done"]
    if rate:
        parts.append(f"{rate:.1f} a second" if rate >= 1 else f"{1 / rate:.1f} s each")
        if total and total > done:
            minutes, seconds = divmod(round((total - done) / rate), 60)
            hours, minutes = divmod(minutes, 60)
            parts.append(f"{hours}:{minutes:02}:{seconds:02} left")
    return ", ".join(parts)
