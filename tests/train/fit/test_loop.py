"""The training loop: interruptions, the moving average, parameter groups, finished and foreign checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from cxreport.errors import TrainingError  # noqa: E402
from cxreport.train.fit.loop import Course, ParameterGroup, Stage, fit  # noqa: E402

COURSE = Course(lr=0.1, weight_decay=0.0, warm_up=2, checkpoint_steps=2)
STEPS = (5, 3)  # of the epochs


class Line:
    """To fit a line through noise, with dropout."""

    def __init__(self, module: torch.nn.Module, steps: int) -> None:
        self.module, self.steps = module, steps

    def batches(self, rng: np.random.Generator) -> Iterator[torch.Tensor]:
        for _ in range(self.steps):
            yield torch.from_numpy(rng.normal(size=(8, 3))).float()

    def loss(self, batch: torch.Tensor) -> torch.Tensor:
        return (self.module(batch) - batch.sum(1, keepdim=True)).square().mean()

    def measure(self) -> dict[str, float]:
        assert not self.module.training
        return {"weight": float(self.module[1].weight[0, 0])}


class Steps:
    """Progress that stops after so many steps."""

    def __init__(self, most: int | None = None) -> None:
        self.done: list[tuple[int, int]] = []
        self.figures: list[dict[str, float]] = []
        self._most = most

    def step(self, stage: str, done: int, total: int, loss: float) -> None:
        if len(self.done) == self._most:
            raise KeyboardInterrupt
        self.done.append((done, total))

    def epoch(self, stage: str, figures: dict[str, float]) -> None:
        self.figures.append(figures)


def trained(folder: Path, progress: Steps, course: Course = COURSE) -> torch.nn.Module:
    torch.manual_seed(3)
    module = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(3, 1))
    folder.mkdir(exist_ok=True)
    fit(module, [Line(module, steps) for steps in STEPS], course, Stage(folder, "line", progress, seed=1))
    assert not module.training
    return module


@pytest.mark.parametrize("reseed", [True, False])
@pytest.mark.parametrize("average", [0.0, 0.9])
def test_an_interruption_anywhere_changes_nothing(tmp_path: Path, reseed: bool, average: float) -> None:
    """Within an epoch training goes on at its last checkpoint."""
    course = replace(COURSE, reseed=reseed, average=average)
    undisturbed = trained(tmp_path / "undisturbed", whole := Steps(), course)
    assert whole.done == [(n + 1, 8) for n in range(8)]
    for most, start in enumerate((1, 1, 3, 3, 5, 6, 6, 8)):
        folder = tmp_path / str(most)
        with pytest.raises(KeyboardInterrupt):
            trained(folder, Steps(most), course)
        module = trained(folder, rest := Steps(), course)
        assert rest.done[0] == (start, 8)
        assert [path.name for path in folder.iterdir()] == ["line.pt"]
        for name, weights in undisturbed.state_dict().items():
            assert torch.equal(weights, module.state_dict()[name]), most


def test_the_averaged_weights_are_measured_and_kept(tmp_path: Path) -> None:
    latest, averaged = (
        trained(tmp_path / "a", Steps()),
        trained(tmp_path / "b", steps := Steps(), replace(COURSE, average=0.9)),
    )
    assert not torch.equal(latest[1].weight, averaged[1].weight)
    assert steps.figures[-1]["weight"] == averaged[1].weight[0, 0].item()


def test_groups_learn_at_their_own_rates(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(3, 1))
    weight, bias = module[1].weight.clone(), module[1].bias.clone()
    groups = ParameterGroup([module[1].weight], 0.0), ParameterGroup([module[1].bias], 0.1)
    fit(module, [Line(module, 3)], replace(COURSE, groups=groups), Stage(tmp_path, "line", Steps(), seed=1))
    assert torch.equal(module[1].weight, weight)
    assert not torch.equal(module[1].bias, bias)


def test_a_finished_stage_is_loaded(tmp_path: Path) -> None:
    first = trained(tmp_path, Steps())
    again = trained(tmp_path, steps := Steps())
    assert torch.equal(first[1].weight, again[1].weight)
    assert not steps.done


def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path) -> None:
    torch.save({"module": {}}, tmp_path / "line.last.pt")
    with pytest.raises(TrainingError, match=r"line\.last\.pt: a checkpoint of another version"):
        trained(tmp_path, Steps())
