"""Progress of a training: protocol of its listeners, and the log of the run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol


class Progress(Protocol):
    """Listener to the steps and epochs of a training."""

    def step(self, stage: str, done: int, total: int, loss: float) -> None:
        """One optimiser step of a stage is done."""

    def epoch(self, stage: str, figures: dict[str, Any]) -> None:
        """An epoch is done and measured."""


LOG_FILE = "log.jsonl"


class RunLog:
    """Log of a run: writes the figures of every epoch to `LOG_FILE` and passes all on."""

    def __init__(self, run: Path, progress: Progress) -> None:
        self._path = run / LOG_FILE
        self._progress = progress

    def step(self, stage: str, done: int, total: int, loss: float) -> None:
        """Pass a step on."""
        self._progress.step(stage, done, total, loss)

    def epoch(self, stage: str, figures: dict[str, Any]) -> None:
        """Append a line and pass it on."""
        with self._path.open("a") as stream:
            stream.write(json.dumps({"stage": stage, **figures}) + "\n")
        self._progress.epoch(stage, figures)
