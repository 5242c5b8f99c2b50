"""The encoder's stage: convolutions and tag head learn the labels of images."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from cxreport.train.config import EncoderConfig, Phase
from cxreport.train.data.images import ImageSplits
from cxreport.train.fit.auc import auc_per_tag
from cxreport.train.fit.loop import Course, ParameterGroup, Stage, fit
from cxreport.train.fit.parts import BatchParts
from cxreport.train.networks.build import whole_encoder
from cxreport.train.networks.encoder import Encoder, augment, disturb, encode_all, has_bfloat16_units, to_input
from cxreport.types import Floats, Pixels

_CHECKPOINT_STEPS = 100
_LEAST_SPREAD = 0.5  # of a teacher's logits, where it says the same of all images
_PHASE_SEEDS = 1_000_003  # seeds from one phase to the next


def fit_encoder(
    config: EncoderConfig, data: ImageSplits, start_weights: Path | None, stage: Stage, logit_weight: float = 0.0
) -> Encoder:
    """Fine-tune the encoder of a recipe.

    Args:
        config: the recipe's ``[encoder]``.
        data: images, labels and a teacher's targets.
        start_weights: convolutions to start from, or None for random ones.
        stage: files, log and seed.
        logit_weight: of the distance to the teacher's logits in the loss.
    """
    torch.manual_seed(stage.seed)
    encoder = whole_encoder(config, len(data.tags))
    if start_weights is not None:
        encoder.features.load_start_weights(start_weights)
    _start_head(encoder, data.train.labels)
    encoder.to(memory_format=torch.channels_last)
    groups, rates = encoder.parameter_groups(), (config.lr_low, config.lr, config.lr_head)
    for parameters, rate in zip(groups, rates, strict=True):
        for weights in parameters:
            weights.requires_grad_(rate > 0)
    cycles = _cycles(config.phases)
    if stage.weights.exists():
        cycles = cycles[-1:]  # has nothing to do but to load them
    for number, cycle in enumerate(cycles, 1):
        share = config.phases[cycle[0]].restart or 1.0
        course = Course(
            lr=config.lr * share,
            weight_decay=config.weight_decay,
            warm_up=config.warmup,
            least_lr=0.0,
            groups=tuple(ParameterGroup(part, rate * share) for part, rate in zip(groups, rates, strict=True)),
            average=config.ema,
            checkpoint_steps=_CHECKPOINT_STEPS,
            reseed=False,
            unit="phase",
        )
        phases = [PhaseTask(encoder, config, data, n, stage.seed, logit_weight) for n in cycle]
        name = stage.name if cycle is cycles[-1] else f"{stage.name}_{number}"
        fit(encoder, phases, course, replace(stage, name=name))
    encoder.requires_grad_(True)
    return encoder


def _cycles(phases: tuple[Phase, ...]) -> list[list[int]]:
    """Numbers of the phases, cycle by cycle."""
    starts = [n for n, phase in enumerate(phases) if n == 0 or phase.restart > 0]
    return [list(range(*bounds)) for bounds in itertools.pairwise([*starts, len(phases)])]


def _start_head(encoder: Encoder, labels: NDArray[np.float32]) -> None:
    """Start at the prevalences, so that the first steps do not undo the pretrained filters."""
    prior = torch.from_numpy(labels.mean(0)).clamp(1e-3, 1 - 1e-3)
    with torch.no_grad():
        encoder.tag_head.weight.mul_(0.05)
        encoder.tag_head.bias.copy_(prior.logit())


class PhaseBatch(NamedTuple):
    """Images of a step, as they are."""

    step: int
    """Number in the phase, from 0."""
    pixels: Pixels
    """(B, S, S) or (B, S, S, 3) uint8"""
    labels: Floats
    """(B, T), soft ones with a teacher"""
    logits: Floats | None
    """(B, T) of the teacher"""


class PhaseTask:
    """The labels of a phase's images, altered a little at each step."""

    def __init__(
        self,
        encoder: Encoder,
        config: EncoderConfig,
        data: ImageSplits,
        number: int,
        seed: int,
        logit_weight: float = 0.0,
    ) -> None:
        """Prepare a phase.

        Args:
            encoder: the network.
            config: the recipe's ``[encoder]``.
            data: images, labels and a teacher's targets.
            number: of the phase, from 0.
            seed: of alterations.
            logit_weight: as in `fit_encoder`.
        """
        self._logit_weight = logit_weight
        self._deviation = None if data.soft is None else torch.from_numpy(data.soft.logits.std(0)).clamp(_LEAST_SPREAD)
        self._encoder, self._config, self._data = encoder, config, data
        self._phase, self._number, self._seed = config.phases[number], number, seed
        self._embedding = BatchParts(
            lambda grey: encoder.maps(grey)[-1].float().mean((2, 3)), bf16=has_bfloat16_units()
        )

    @property
    def steps(self) -> int:
        """Number of batches."""
        return self._phase.images // self._config.batch

    def batches(self, rng: np.random.Generator) -> Iterator[PhaseBatch]:
        """As `loop.Task` has it; in as many passes over the images as the phase needs."""
        small = self._data.small if self._phase.small else None
        images = self._data.train + small if small else self._data.train
        soft = self._data.soft
        labels = images.labels if soft is None else soft.labels
        passes, batch = -(-self._phase.images // len(images)), self._config.batch
        order = np.concatenate([rng.permutation(len(images)) for _ in range(passes)])
        for step in range(self.steps):
            rows = order[step * batch : (step + 1) * batch]
            yield PhaseBatch(step, images.pixels[rows], labels[rows], None if soft is None else soft.logits[rows])

    def loss(self, batch: PhaseBatch) -> Tensor:
        """Cross entropy of the tags and, with a teacher, the distance to its logits.

        In the cross entropy an image of a rare finding hardly counts before the network is sure of it; the distance of
        standardised logits counts all findings and all images alike.
        """
        generator = torch.Generator().manual_seed(self._seed + self._number * _PHASE_SEEDS + batch.step)
        grey = altered(batch.pixels, self._phase, self._config.flip, generator)
        labels = torch.from_numpy(batch.labels)
        taught = None if batch.logits is None else torch.from_numpy(batch.logits)
        if (alpha := self._phase.mixup) > 0:
            share = np.random.default_rng((self._seed, self._number, batch.step)).beta(alpha, alpha)
            grey, labels = grey.lerp(grey.flip(0), share), labels.lerp(labels.flip(0), share)
            taught = None if taught is None else taught.lerp(taught.flip(0), share)
        logits = self._encoder.tag_logits(self._embedding(grey))
        loss = F.binary_cross_entropy_with_logits(logits.float(), labels)
        if taught is not None and self._deviation is not None and self._logit_weight > 0:
            loss = loss + self._logit_weight * ((logits - taught) / self._deviation).square().mean()
        return loss

    def measure(self) -> dict[str, Any]:
        """The phase, the AUC of each tag on val at the phase's size and, with a teacher, the correlation of logits."""
        val = self._data.val
        logits = encode_all(self._encoder, val.pixels, self._phase.size)[1].numpy()
        auc = auc_per_tag(logits, val.labels, self._data.tags)
        figures = asdict(self._phase) | {"val_auc": {tag: round(value, 4) for tag, value in auc.items()}}
        if self._data.soft is not None:
            figures["val_teacher"] = round(correlation(logits, self._data.soft.val_logits), 4)
        return figures


def altered(pixels: Pixels, phase: Phase, mirror: bool, generator: torch.Generator) -> Tensor:
    """(B, S, S) or (B, S, S, 3) uint8 as a phase shows images to a network: (B, C, size, size) float, 0 to 255."""
    grey = augment(to_input(pixels), phase.size, generator, mirror)
    if phase.noise > 0 or phase.erase > 0:
        grey = disturb(grey, phase.noise, phase.erase, generator)
    return grey


def correlation(logits: Floats, taught: Floats) -> float:
    """Mean over the tags of the linear correlation with a teacher's logits, (N, T) each; NaN where it has none.

    Tags of which the teacher says the same of all images are left out.
    """
    pairs = [(logits[k, t], taught[k, t]) for t, k in enumerate((~np.isnan(taught)).T)]
    told = [
        np.corrcoef(ours, theirs)[0, 1] for ours, theirs in pairs if len(theirs) and np.ptp(theirs) and np.ptp(ours)
    ]
    return float(np.mean(told)) if told else 0.0
