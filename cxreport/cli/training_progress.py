"""Progress of training on stderr: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from cxreport.cli.errors import say

SECONDS_BETWEEN_LINES = 30.0


class LineProgress:
    """Lines: one for each epoch, and now and then one for a step."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __enter__(self) -> LineProgress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def step(self, stage: str, done: int, total: int, loss: float) -> None:
        """Write a line if the last one is long enough ago."""
        if time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            say(f"{stage}: step {done}/{total}, loss {loss:.4f}")

    def epoch(self, stage: str, figures: dict[str, Any]) -> None:
        """Write an epoch's figures."""
        say(figures_line(stage, figures))


class BarProgress:
    """A bar per stage, and a line per epoch above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            redirect_stdout=False,
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> BarProgress:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def step(self, stage: str, done: int, total: int, loss: float) -> None:
        """Move the stage's bar."""
        if stage not in self._tasks:
            self._tasks[stage] = self._bar.add_task(stage)
        description = f"{stage}, loss {loss:.3f}"
        self._bar.update(self._tasks[stage], completed=done, total=total, description=description)

    def epoch(self, stage: str, figures: dict[str, Any]) -> None:
        """Print an epoch's figures above the bars."""
        self._bar.console.print(figures_line(stage, figures), markup=False, highlight=False)


def training_progress() -> BarProgress | LineProgress:
    """Bars where stderr is a terminal, lines elsewhere."""
    return BarProgress() if sys.stderr.isatty() else LineProgress()


def figures_line(stage: str, figures: dict[str, Any]) -> str:
    """Figures of a stage as a line of text."""
    pairs = (
        f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}" for name, value in figures.items()
    )
    return f"{stage}: {', '.join(pairs)}"
