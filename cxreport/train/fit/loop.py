"""The training loop of all networks: steps, schedule, moving average, checkpoints, figures."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from cxreport.errors import TrainingError
from cxreport.train.progress import Progress
from cxreport.train.run_folder import save_tensors, weights_file

_LARGEST_GRADIENT = 1.0
_RECENT = 200
"""Steps that the loss is averaged over."""

B = TypeVar("B")


class Task(Protocol[B]):
    """Content of one epoch of a stage."""

    @property
    def steps(self) -> int:
        """Number of batches."""

    def batches(self, rng: np.random.Generator) -> Iterator[B]:
        """Batches, cheap to pass over, in an order and with noise that ``rng`` decides."""

    def loss(self, batch: B) -> Tensor:
        """Loss of a batch; the network is in training mode."""

    def measure(self) -> dict[str, Any]:
        """Figures on the val split; the network is in evaluation mode."""


class ParameterGroup(NamedTuple):
    """Parameters that learn at a rate of their own."""

    parameters: list[nn.Parameter]
    lr: float


@dataclass(frozen=True)
class Course:
    """Optimisation of a stage: AdamW, with rates that rise for some steps and then fall by half a cosine."""

    lr: float
    """Highest learning rate."""
    weight_decay: float
    warm_up: int = 50
    """Steps in which the rates rise."""
    least_lr: float = 0.02
    """End of the rates' fall, as a share of the highest."""
    groups: tuple[ParameterGroup, ...] = ()
    """All parameters, where not all learn at ``lr``."""
    average: float = 0.0
    """Decay per step of the moving average of the weights, which is measured and kept; 0 keeps the last ones."""
    checkpoint_steps: int | None = None
    """Steps between checkpoints within an epoch; None for checkpoints between epochs alone."""
    reseed: bool = True
    """Give the dropout of each epoch a seed of its own."""
    unit: str = "epoch"
    """An epoch's name in the log."""


@dataclass(frozen=True)
class Stage:
    """A stage's place in a run."""

    folder: Path
    """The run folder."""
    name: str
    """Of its files and of its lines of the log."""
    progress: Progress
    seed: int
    """Of shuffling and noise."""

    @property
    def weights(self) -> Path:
        """State dict of the network that it has trained."""
        return self.folder / weights_file(self.name)

    @property
    def checkpoint(self) -> Path:
        """State of an interrupted training."""
        return self.folder / weights_file(f"{self.name}.last")


def fit(module: nn.Module, tasks: Sequence[Task[Any]], course: Course, stage: Stage) -> None:
    """Train for one stage, or go on from its checkpoint; a finished stage is loaded.

    Args:
        module: the network, left in evaluation mode.
        tasks: of each epoch.
        course: rates, moving average, checkpoints.
        stage: files, log and seed.

    Raises:
        TrainingError: the checkpoint was written by another version.
    """
    if stage.weights.exists():
        module.load_state_dict(torch.load(stage.weights, weights_only=True))
    else:
        loop = _Loop(module, tasks, course, stage)
        if stage.checkpoint.exists():
            loop.load(torch.load(stage.checkpoint, weights_only=True))
        loop.run()
        save_tensors(module.state_dict(), stage.weights)
        stage.checkpoint.unlink(missing_ok=True)
    module.eval()


class _Loop:
    """A stage in progress: network, optimiser, schedule, moving average and position, all of it in one checkpoint."""

    def __init__(self, module: nn.Module, tasks: Sequence[Task[Any]], course: Course, stage: Stage) -> None:
        self.module, self.tasks, self.course, self.stage = module, tasks, course, stage
        self.steps = [task.steps for task in tasks]
        groups = [{"params": group.parameters, "lr": group.lr} for group in course.groups]
        self.optimiser = torch.optim.AdamW(
            groups or module.parameters(), lr=course.lr, weight_decay=course.weight_decay, fused=True
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, _cosine(course, sum(self.steps)))
        self.average = {k: v.clone() for k, v in module.state_dict().items()} if course.average else None
        self.epoch, self.step = 0, 0

    def load(self, state: dict[str, Any]) -> None:
        """Take over the state of an interrupted loop."""
        if state.keys() != self.state().keys():
            path = self.stage.checkpoint
            raise TrainingError(f"{path}: a checkpoint of another version.", hint="Remove it to train this stage anew.")
        self.module.load_state_dict(state["module"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["random"])
        self.average, self.epoch, self.step = state["average"], state["epoch"], state["step"]

    def state(self) -> dict[str, Any]:
        """Content of a checkpoint."""
        return {
            "module": self.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": torch.get_rng_state(),
            "average": self.average,
            "epoch": self.epoch,
            "step": self.step,
        }

    def run(self) -> None:
        """Train the remaining epochs; the network ends with the weights that are measured."""
        while self.epoch < len(self.tasks):
            start, task = time.monotonic(), self.tasks[self.epoch]
            loss = self._train(task)
            figures = {self.course.unit: self.epoch + 1, "loss": round(loss, 4)} | self._measure(task)
            self.stage.progress.epoch(self.stage.name, figures | {"seconds": round(time.monotonic() - start)})
            self.epoch, self.step = self.epoch + 1, 0
            save_tensors(self.state(), self.stage.checkpoint)
        if self.average is not None:
            self.module.load_state_dict(self.average)

    def _train(self, task: Task[Any]) -> float:
        """Take the remaining steps of an epoch; returns the mean loss of the most recent ones."""
        seed, epoch, first, mean = self.stage.seed, self.epoch, self.step, 0.0
        if self.course.reseed and not first:
            torch.manual_seed(seed + epoch)
        self.module.train()
        for batch in itertools.islice(task.batches(np.random.default_rng((seed, epoch))), first, None):
            loss = self._update(task.loss(batch))
            self.step += 1
            mean += (loss - mean) * max(1 / (self.step - first), 1 / _RECENT)
            self.stage.progress.step(self.stage.name, sum(self.steps[:epoch]) + self.step, sum(self.steps), mean)
            if self.course.checkpoint_steps and self.step % self.course.checkpoint_steps == 0:
                save_tensors(self.state(), self.stage.checkpoint)
        return mean

    def _update(self, loss: Tensor) -> float:
        """Step of the optimiser, the schedule and the moving average."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.module.parameters(), _LARGEST_GRADIENT)
        self.optimiser.step()
        self.schedule.step()
        if self.average is not None:
            decay = min(self.course.average, 1 - 1 / (self.schedule.last_epoch + 1))
            _blend(self.average, self.module.state_dict(), 1 - decay)
        return float(loss.detach())

    def _measure(self, task: Task[Any]) -> dict[str, Any]:
        """Figures of an epoch's task, with the averaged weights where there are some."""
        latest = None
        if self.average is not None:
            latest = {name: value.clone() for name, value in self.module.state_dict().items()}
            self.module.load_state_dict(self.average)
        self.module.eval()
        with torch.inference_mode():
            figures = task.measure()
        if latest is not None:
            self.module.load_state_dict(latest)
        return figures


def _cosine(course: Course, steps: int) -> Callable[[int], float]:
    """Share of the highest rate at each step."""

    def share(step: int) -> float:
        fall = course.least_lr + (1 - course.least_lr) / 2 * (1 + math.cos(math.pi * step / (steps + 1)))
        return min(1.0, (step + 1) / course.warm_up) * fall

    return share


@torch.no_grad()
def _blend(average: dict[str, Tensor], weights: dict[str, Tensor], share: float) -> None:
    """Move an average by a share of the way to the weights; counters are copied."""
    for name, value in weights.items():
        if value.is_floating_point():
            average[name].lerp_(value, share)
        else:
            average[name].copy_(value)
