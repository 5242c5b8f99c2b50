"""The factors' stage: an encoder of less arithmetic learns to give the trained one's maps (Hinton et al. 2015).

It starts from the principal components of each convolution's outputs (Zhang et al. 2016), which no label is needed for,
nor for the rest: what it learns is the trained encoder's map at every depth, and its tags. So all that was fitted to
those maps, as decoders and the joint space, goes on working.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from cxreport.train.config import EncoderConfig, FactorConfig
from cxreport.train.data.images import ImageSplits
from cxreport.train.fit.auc import auc_per_tag
from cxreport.train.fit.encoder import altered, correlation, fit_encoder
from cxreport.train.fit.loop import Course, Stage, fit
from cxreport.train.fit.parts import BatchParts
from cxreport.train.networks.encoder import Encoder, encode_all, has_bfloat16_units, to_input
from cxreport.train.networks.factors import Factors, factor, layers
from cxreport.train.run_folder import save_tensors
from cxreport.types import Pixels

_SAMPLE = 256
"""Images whose outputs the components are of."""
_PLACES = 1024
"""Places of a batch's outputs at most that count for them: the early ones have very many, much alike."""
_BATCH = 16
_LEAST = 1e-6
_CHECKPOINT_STEPS = 200


def fit_vision(
    config: EncoderConfig,
    data: ImageSplits,
    start_weights: Path | None,
    stage: Callable[[str], Stage],
    logit_weight: float = 0.0,
) -> Encoder:
    """The encoder that a recipe ends with.

    Args:
        config: the recipe's ``[encoder]``.
        data: images, labels and a teacher's targets.
        start_weights: convolutions to start from, or None for random ones.
        stage: the run's stage of a name.
        logit_weight: of the distance to the teacher's logits in the loss.
    """
    encoder = fit_encoder(config, data, start_weights, stage("encoder"), logit_weight)
    if config.factors is None:
        return encoder
    return fit_factors(encoder, config, config.factors, data, stage(config.stage))


def fit_factors(
    encoder: Encoder, config: EncoderConfig, factors: FactorConfig, data: ImageSplits, stage: Stage
) -> Encoder:
    """An encoder whose convolutions are factored, with the head and the norms of a trained one.

    Args:
        encoder: trained.
        config: the recipe's ``[encoder]``.
        factors: its ``[encoder.factors]``.
        data: images; labels are measured by alone.
        stage: files, log and seed.
    """
    encoder.eval().requires_grad_(False)
    student = copy.deepcopy(encoder)
    pairs = factor(student.features, factors.ranks)
    sample = data.train.pixels[np.random.default_rng(stage.seed).permutation(len(data.train))[:_SAMPLE]]
    finished = stage.weights.exists()
    if not finished:
        components = output_components(encoder, sample)
        whole = dict(layers(encoder.features))
        for name, pair in pairs.items():
            mean, directions = components[name]
            pair.approximate(whole[name], mean, directions[:, : len(pair[0].weight)])  # type: ignore[arg-type]
    student.features.requires_grad_(True)
    student.to(memory_format=torch.channels_last)
    course = Course(
        lr=factors.lr,
        weight_decay=0.0,
        warm_up=factors.warmup,
        least_lr=0.0,
        average=factors.ema,
        checkpoint_steps=_CHECKPOINT_STEPS,
        unit="pass",
    )
    count = len(data.train) + (len(data.small) if data.small else 0)
    passes = max(1, round(factors.images / count))
    task = FactorTask(encoder, student, config, data, factors.images // passes, sample)
    fit(student, [task] * passes, course, stage)
    if not finished:
        balance(student, sample)
        save_tensors(student.state_dict(), stage.weights)
    student.requires_grad_(True)
    return student


@torch.inference_mode()
def balance(encoder: Encoder, pixels: Pixels) -> None:
    """Balance all factors of an encoder, by what they give for some images.

    Args:
        encoder: in evaluation mode.
        pixels: (N, S, S) or (N, S, S, 3).
    """
    pairs = {name: layer for name, layer in encoder.features.named_children() if isinstance(layer, Factors)}
    largest: dict[str, Tensor] = {}

    def compare(name: str, output: Tensor) -> None:
        peaks = output.abs().amax((0, 2, 3))
        largest[name] = largest.get(name, peaks).maximum(peaks)

    _watch({name: pair[0] for name, pair in pairs.items()}, encoder, pixels, compare)
    for name, pair in pairs.items():
        pair.balance(largest[name])


@torch.inference_mode()
def output_components(encoder: Encoder, pixels: Pixels) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean (C,) and principal components (C, C) of the outputs of each convolution, the largest first.

    Args:
        encoder: in evaluation mode.
        pixels: (N, S, S) or (N, S, S, 3).
    """
    sums: dict[str, Tensor] = {}
    generator = torch.Generator().manual_seed(0)

    def count(name: str, output: Tensor) -> None:
        places = output.permute(0, 2, 3, 1).flatten(0, 2).double()
        places = places[torch.randperm(len(places), generator=generator)[: _PLACES * _BATCH]]
        places = torch.cat([places, torch.ones(len(places), 1)], 1)
        sums[name] = sums.get(name, torch.zeros(())) + places.T @ places

    _watch(dict(layers(encoder.features)), encoder, pixels, count)
    return {name: _components(products) for name, products in sums.items()}


def _watch(
    watched: Mapping[str, nn.Module], encoder: Encoder, pixels: Pixels, look: Callable[[str, Tensor], None]
) -> None:
    """Encode images, and look at what some layers give (B, C, H, W) for each batch, by their names."""
    handles = [
        layer.register_forward_hook(lambda _layer, _inputs, output, name=name: look(name, output))
        for name, layer in watched.items()
    ]
    for i in range(0, len(pixels), _BATCH):
        encoder.maps(to_input(pixels[i : i + _BATCH]))
    for handle in handles:
        handle.remove()


def _components(products: Tensor) -> tuple[Tensor, Tensor]:
    """(C + 1, C + 1) sums of products, of values and a last one of 1 -> mean and components."""
    mean = products[:-1, -1] / products[-1, -1]
    covariance = products[:-1, :-1] / products[-1, -1] - torch.outer(mean, mean)
    return mean.float(), torch.linalg.eigh(covariance).eigenvectors.flip(1).float()


class FactorBatch(NamedTuple):
    """Images of a step, as they are."""

    step: int
    """Number among all steps of the epoch, and a seed of the alterations."""
    seed: int
    pixels: Pixels
    """(B, S, S) or (B, S, S, 3) uint8"""


class FactorTask:
    """One pass: the distances between both encoders' maps on altered images."""

    def __init__(
        self,
        encoder: Encoder,
        student: Encoder,
        config: EncoderConfig,
        data: ImageSplits,
        images: int,
        sample: Pixels,
    ) -> None:
        """Prepare a pass.

        Args:
            encoder: trained.
            student: that learns from it.
            config: the recipe's ``[encoder]``; the images are altered as in its last phase.
            data: images.
            images: number of them in a pass.
            sample: images that the usual sizes of maps are taken from.
        """
        self._encoder, self._student, self._config, self._data = encoder, student, config, data
        self._images = images
        with torch.inference_mode():
            outputs = [self._outputs(encoder, to_input(sample[i : i + _BATCH])) for i in range(0, len(sample), _BATCH)]
        usual = [torch.cat(values) for values in zip(*outputs, strict=True)]
        self._scales = [_spread(values) for values in usual]
        self._distances = BatchParts(self._compare, bf16=has_bfloat16_units())

    @property
    def steps(self) -> int:
        """Number of batches."""
        return self._images // self._config.batch

    def batches(self, rng: np.random.Generator) -> Iterator[FactorBatch]:
        """As `loop.Task` has it."""
        images = self._data.learned
        order, batch = rng.permutation(len(images)), self._config.batch
        seed = int(rng.integers(2**31))
        for step in range(min(self.steps, len(order) // batch)):
            yield FactorBatch(step, seed, images.pixels[order[step * batch : (step + 1) * batch]])

    def loss(self, batch: FactorBatch) -> Tensor:
        """Sum of the distances of all depths and of the tags, each as a share of what images differ by."""
        generator = torch.Generator().manual_seed(batch.seed + batch.step)
        grey = altered(batch.pixels, self._config.phases[-1], self._config.flip, generator)
        return self._distances(grey).sum(1).mean()

    def measure(self) -> dict[str, Any]:
        """The distances on val and what the tags are worth: change, AUC, correlation with the recipe's teacher."""
        val = self._data.val
        distances = torch.cat(
            [self._compare(to_input(val.pixels[i : i + _BATCH])) for i in range(0, len(val), _BATCH)]
        ).mean(0)
        logits = [encode_all(model, val.pixels)[1] for model in (self._encoder, self._student)]
        auc = [list(auc_per_tag(values.numpy(), val.labels, self._data.tags).values()) for values in logits]
        change = (logits[1].sigmoid() - logits[0].sigmoid()).abs()
        figures: dict[str, Any] = {
            "distances": [round(value, 4) for value in distances.tolist()],
            "tag_change": round(float(change.mean()), 5),
            "val_auc": [round(float(np.mean(values)), 4) for values in auc],
        }
        if self._data.soft is not None:
            figures["val_teacher"] = [
                round(correlation(values.numpy(), self._data.soft.val_logits), 4) for values in logits
            ]
        return figures

    def _outputs(self, encoder: Encoder, grey: Tensor) -> list[Tensor]:
        """Maps (B, C, H, W) of all depths, and logits (B, T)."""
        maps = encoder.maps(grey)
        mean = maps[-1].float().mean((2, 3))
        return [*maps, self._encoder.tag_head(self._encoder.norm(mean))]

    def _compare(self, grey: Tensor) -> Tensor:
        """(B, C, S, S) -> (B, depths + 1) distances."""
        with torch.no_grad():
            wanted = self._outputs(self._encoder, grey)
        found = self._outputs(self._student, grey)
        distances = [
            ((a.float() - b.float()).square() / scale).flatten(1).mean(1)
            for a, b, scale in zip(found, wanted, self._scales, strict=True)
        ]
        return torch.stack(distances, 1)


def _spread(values: Tensor) -> Tensor:
    """Variance () of maps (N, C, H, W), the mean of all channels; (T,) of logits (N, T)."""
    if values.ndim == 2:
        return values.var(0).clamp(min=_LEAST)
    return (values - values.mean((0, 2, 3), keepdim=True)).square().mean().clamp(min=_LEAST)
