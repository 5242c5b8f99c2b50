"""The training loop that all networks but the encoder share: steps, schedule, checkpoints, figures."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from cxreport.train.fit import checkpoints
from cxreport.train.progress import Progress

_WARM_UP = 50  # steps
_LEAST_LR = 0.02  # of the highest
_LARGEST_GRADIENT = 1.0


@dataclass(frozen=True)
class Course:
    """How long and how fast."""

    epochs: int
    lr: float
    weight_decay: float


class Task(Protocol):
    """What a network learns."""

    @property
    def module(self) -> nn.Module:
        """The network."""

    @property
    def steps(self) -> int:
        """Batches of an epoch."""

    def losses(self, rng: np.random.Generator) -> Iterator[Tensor]:
        """The losses of an epoch's batches, in an order and with noise that ``rng`` decides."""

    def measure(self) -> dict[str, float]:
        """Figures on the val split; the network is in evaluation mode."""


def fit(task: Task, course: Course, run: Path, stage: str, progress: Progress, seed: int) -> None:
    """Train for one stage, or go on where ``run/<stage>.last.pt`` stopped; the result is ``<stage>.pt``.

    Args:
        task: the network, its batches and its measure.
        course: how long and how fast.
        run: folder of checkpoints.
        stage: name of the files and of the log lines.
        progress: told of every step and epoch.
        seed: of shuffling and noise.
    """
    done_path, last_path = run / f"{stage}.pt", run / f"{stage}.last.pt"
    if done_path.exists():
        task.module.load_state_dict(torch.load(done_path, weights_only=True))
    else:
        loop = _Loop(task, course, stage, progress, seed)
        if last_path.exists():
            loop.load(torch.load(last_path, weights_only=True))
        loop.run(last_path)
        checkpoints.save(task.module.state_dict(), done_path)
        last_path.unlink(missing_ok=True)
    task.module.eval()


class _Loop:
    def __init__(self, task: Task, course: Course, stage: str, progress: Progress, seed: int) -> None:
        self.task, self.course, self.stage, self.progress, self.seed = task, course, stage, progress, seed
        self.optimiser = torch.optim.AdamW(task.module.parameters(), course.lr, weight_decay=course.weight_decay)
        total = course.epochs * task.steps
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser,
            lambda s: (
                min(1.0, (s + 1) / _WARM_UP)
                * (_LEAST_LR + (1 - _LEAST_LR) / 2 * (1 + math.cos(math.pi * s / (total + 1))))
            ),
        )
        self.epoch = 0

    def load(self, state: dict[str, Any]) -> None:
        self.task.module.load_state_dict(state["module"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.epoch = state["epoch"]

    def run(self, checkpoint: Path) -> None:
        while self.epoch < self.course.epochs:
            start = time.monotonic()
            loss = self._train_epoch()
            self.task.module.eval()
            with torch.inference_mode():
                figures = {"epoch": self.epoch + 1, "loss": round(loss, 4)} | self.task.measure()
            self.progress.epoch(self.stage, figures | {"seconds": round(time.monotonic() - start)})
            self.epoch += 1
            state = {
                "module": self.task.module.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "schedule": self.schedule.state_dict(),
                "epoch": self.epoch,
            }
            checkpoints.save(state, checkpoint)

    def _train_epoch(self) -> float:
        torch.manual_seed(self.seed + self.epoch)
        module, steps, mean = self.task.module, self.task.steps, 0.0
        module.train()
        for step, loss in enumerate(self.task.losses(np.random.default_rng((self.seed, self.epoch)))):
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(module.parameters(), _LARGEST_GRADIENT)
            self.optimiser.step()
            self.schedule.step()
            mean += (float(loss.detach()) - mean) / (step + 1)
            self.progress.step(self.stage, self.epoch * steps + step + 1, self.course.epochs * steps, mean)
        return mean
