"""How unlike the training images an image is: what the principal components of their features leave of its features.

The reconstruction error of features by principal components, as in the residual of Wang et al. 2022 (ViM) and in Ndiour
et al. 2020, from several depths at once as in Lee et al. 2018: noise, negatives and scans show in the early ones, other
body parts and projections in the late ones. The features are square roots of the channels' mean activations, because
with the means themselves the few channels that seldom fire drown the others (measured on altered chest X-rays).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cxreport.model.manifest import DistanceLimits
from cxreport.train.export.fp16 import rounded
from cxreport.train.fit import checkpoints
from cxreport.train.networks.encoder import Encoder, to_input
from cxreport.types import Floats

TYPICALITY_FILE, LIMITS_FILE = "typicality.pt", "limits.json"
WARN_QUANTILE = 0.99
"""Share of the val images that pass without a warning."""
REFUSE_FACTOR = 1.25
"""Refused is what is so many times farther than what is warned of."""
_IMAGES = 4096  # 2,000 and 3,000 gave nearly the same limits
_COMPONENTS = 64
_LEFT_OUT = 8  # so many times more images, and features, than components, or these would leave nothing of any image
_FLOOR = 0.3  # of a depth's usual deviation, for the channels that hardly vary
_STEADY = 0.01  # of a depth's usual feature; a depth that varies less than rounding does would tell only that
_LEAST = 1e-6  # where all images are alike
_BATCH = 32


class Typicality(nn.Module):
    """The distance of images from those that it was fitted to, 1 for a usual one of them."""

    mean: Tensor
    deviation: Tensor
    components: Tensor
    usual: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor, components: Tensor, usual: Tensor) -> None:
        """Take what `fit_typicality` found.

        Args:
            mean: (F,) of the features.
            deviation: (F,) that they are divided by.
            components: (F, K) principal components of what results.
            usual: () mean square that these leave.
        """
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.register_buffer("components", components)
        self.register_buffer("usual", usual)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """(B, C, H, W) of each depth, as `Encoder.maps` gives them -> (B,) distances."""
        standard = (_features(maps) - self.mean) / self.deviation
        rest = standard - standard @ self.components @ self.components.T
        return (rest.square().sum(1) / self.usual).sqrt()


@torch.no_grad()
def fit_typicality(encoder: Encoder, pixels: NDArray[np.uint8]) -> Typicality:
    """Fit to the images that an encoder was trained on, or some thousands of them.

    Args:
        encoder: trained.
        pixels: (N, S, S) grey images.
    """
    some = np.random.default_rng(0).permutation(len(pixels))[:_IMAGES]
    maps = list(_depth_means(encoder, pixels[some]))
    rows = torch.cat([_features(means) for means in maps])
    mean, spread = rows.mean(0), rows.std(0, correction=0)
    channels = [depth.shape[1] for depth in maps[0]]
    deviation = torch.hypot(spread, _FLOOR * _usual(spread, channels))
    deviation = deviation.maximum(_STEADY * _usual(mean, channels)).clamp(min=_LEAST)
    standard = (rows - mean) / deviation
    count = max(1, min(_COMPONENTS, min(rows.shape) // _LEFT_OUT))
    components = torch.linalg.svd(standard, full_matrices=False).Vh[:count].T.contiguous()
    rest = standard - standard @ components @ components.T
    return Typicality(mean, deviation, components, rest.square().sum(1).mean().clamp(min=_LEAST))


@torch.inference_mode()
def measure_distances(encoder: Encoder, typicality: Typicality, pixels: NDArray[np.uint8]) -> Floats:
    """(N,) distances of (N, S, S) grey images."""
    return torch.cat([typicality(maps) for maps in _depth_means(encoder, pixels)]).numpy()


def distance_limits(distances: Floats) -> tuple[DistanceLimits, dict[str, float]]:
    """Choose the limits on images that the encoder was not trained on.

    Args:
        distances: (N,) of them.

    Returns:
        the limits, and the shares of these images that are warned of (or refused) and refused: false alarms, as far
        as the images are all what they should be.
    """
    warn = float(np.quantile(distances, WARN_QUANTILE))
    limits = DistanceLimits(round(warn, 4), round(warn * REFUSE_FACTOR, 4))
    beyond = {"warned": distances > limits.warn, "refused": distances > limits.refuse}
    return limits, {name: round(float(some.mean()), 4) for name, some in beyond.items()}


def fit_distance(
    run: Path, train: NDArray[np.uint8], val: NDArray[np.uint8], encoder: Encoder
) -> tuple[DistanceLimits, dict[str, float]]:
    """Fit what tells images unlike the ``train`` images, into the run folder; its limits come from the ``val`` ones.

    What an earlier start, or the run that the encoder is from, has fitted is taken as it is.
    """
    if (run / TYPICALITY_FILE).exists() and (run / LIMITS_FILE).exists():
        kept = json.loads((run / LIMITS_FILE).read_text())
        return DistanceLimits(**kept["limits"]), kept["false_alarms"]
    encoder = rounded(encoder)  # as the bundle has it: where images hardly differ, rounding its weights moves them all
    typicality = fit_typicality(encoder, train)
    checkpoints.save(typicality.state_dict(), run / TYPICALITY_FILE)
    limits, false_alarms = distance_limits(measure_distances(encoder, typicality, val))
    (run / LIMITS_FILE).write_text(json.dumps({"limits": asdict(limits), "false_alarms": false_alarms}) + "\n")
    return limits, false_alarms


def _depth_means(encoder: Encoder, pixels: NDArray[np.uint8]) -> Iterator[list[Tensor]]:
    """The channels' means at each depth, (B, C, 1, 1), batch after batch."""
    encoder.eval()
    for i in range(0, len(pixels), _BATCH):
        maps = encoder.maps(to_input(pixels[i : i + _BATCH]))
        yield [depth.mean((2, 3), keepdim=True) for depth in maps]


def _usual(values: Tensor, channels: list[int]) -> Tensor:
    """(F,) -> (F,): the root mean square of each depth, for all its channels."""
    return torch.cat([d.square().mean().sqrt().expand(len(d)) for d in torch.split(values, channels)])


def _features(maps: Sequence[Tensor]) -> Tensor:
    """(B, C, H, W) of each depth -> (B, F) square roots of the channels' means."""
    return torch.cat([depth.mean((2, 3)) for depth in maps], 1).sqrt()
