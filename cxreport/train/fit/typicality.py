"""Fit of the out-of-distribution distance to the training images, and its limits from the val images."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxreport.model.manifest import DistanceLimits
from cxreport.train.networks.encoder import Encoder, to_input
from cxreport.train.networks.rounding import rounded
from cxreport.train.networks.typicality import Typicality, depth_features, early_depths, residual
from cxreport.train.run_folder import LIMITS_FILE, TYPICALITY_FILE, save_json, save_tensors
from cxreport.types import Floats

WARN_QUANTILE = 0.99
"""Share of the val images that pass without a warning."""
REFUSE_FACTOR = 1.25
"""Distance that is refused, as a multiple of the one that is warned of."""
_IMAGES = 2048  # 3,000 and 4,000 gave nearly the same limits
_COMPONENTS = 64
_ROWS_PER_COMPONENT = 8  # images, and features: with fewer, the components would leave nothing of any image
_FLOOR = 0.3  # of a depth's usual deviation, for the channels that hardly vary
_LAST_WEIGHT = 0.7  # of the last depth that has a part: it, too, answers to disease
_STEADY = 0.01  # of a depth's usual feature; a depth that varies less than rounding does would tell only that
_LEAST = 1e-6  # where all images are alike
_BATCH = 32


@torch.no_grad()
def fit_typicality(encoder: Encoder, pixels: NDArray[np.uint8]) -> Typicality:
    """Fit to the images that an encoder was trained on, or some thousands of them.

    Args:
        encoder: trained.
        pixels: (N, S, S) grey images.
    """
    sample = np.random.default_rng(0).permutation(len(pixels))[:_IMAGES]
    maps = list(_depth_means(encoder, pixels[sample]))
    features = torch.cat([depth_features(means) for means in maps])
    mean, spread = features.mean(0), features.std(0, correction=0)
    channels = [depth.shape[1] for depth in early_depths(maps[0])]
    deviation = torch.hypot(spread, _FLOOR * _root_mean_square(spread, channels))
    deviation = deviation.maximum(_STEADY * _root_mean_square(mean, channels)).clamp(min=_LEAST)
    deviation[-channels[-1] :] /= _LAST_WEIGHT
    standard = (features - mean) / deviation
    count = max(1, min(_COMPONENTS, min(features.shape) // _ROWS_PER_COMPONENT))
    components = torch.linalg.svd(standard, full_matrices=False).Vh[:count].T.contiguous()
    usual = residual(standard, components).square().sum(1).mean().clamp(min=_LEAST)
    return Typicality(mean, deviation, components, usual)


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
    alarms = {"warned": distances > limits.warn, "refused": distances > limits.refuse}
    return limits, {name: round(float(alarm.mean()), 4) for name, alarm in alarms.items()}


def fit_distance(
    run: Path, train: NDArray[np.uint8], val: NDArray[np.uint8], encoder: Encoder
) -> tuple[DistanceLimits, dict[str, float]]:
    """Fit to the ``train`` images, into the run folder, with limits from the ``val`` images.

    A fit that is there already, of an earlier start or of the run that the encoder was copied from, is left as it is.
    """
    if (run / TYPICALITY_FILE).exists() and (run / LIMITS_FILE).exists():
        fitted = json.loads((run / LIMITS_FILE).read_text())
        return DistanceLimits(**fitted["limits"]), fitted["false_alarms"]
    encoder = rounded(encoder)  # as the bundle has it: where images hardly differ, rounding its weights moves them all
    typicality = fit_typicality(encoder, train)
    save_tensors(typicality.state_dict(), run / TYPICALITY_FILE)
    limits, false_alarms = distance_limits(measure_distances(encoder, typicality, val))
    save_json({"limits": asdict(limits), "false_alarms": false_alarms}, run / LIMITS_FILE)
    return limits, false_alarms


def _depth_means(encoder: Encoder, pixels: NDArray[np.uint8]) -> Iterator[list[Tensor]]:
    """The channels' means at each depth, (B, C, 1, 1), batch after batch."""
    encoder.eval()
    for i in range(0, len(pixels), _BATCH):
        maps = encoder.maps(to_input(pixels[i : i + _BATCH]))
        yield [depth.mean((2, 3), keepdim=True) for depth in maps]


def _root_mean_square(values: Tensor, channels: list[int]) -> Tensor:
    """(F,) -> (F,): of each depth, for all its channels."""
    return torch.cat([depth.square().mean().sqrt().expand(len(depth)) for depth in torch.split(values, channels)])
