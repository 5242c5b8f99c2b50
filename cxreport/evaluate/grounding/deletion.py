"""Deletion test: fall of the tag head's probability where the patches that a map attends to are masked.

After Samek et al. (2017) and Petsiuk et al. (2018), in one step: the most attended fifth of the image is replaced by
the mean image, and the fall of the probability is compared with that for as many patches at random. These lie apart,
while those attended to mostly lie together, so that the two do not harm an image in quite the same way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxreport.datasets.nih import FINDINGS
from cxreport.drafting.grid import resized
from cxreport.evaluate.bootstrap import Figure, pooled_means
from cxreport.types import Floats, Grey

MOST = 40
"""Images taken of each finding at most, evenly spread over the val images."""
SHARE = 0.2
"""Share of the patches that are masked."""
RANDOM_MASKS = 3
"""Random masks of an image, whose mean is compared."""
METRICS = ("attended", "activation", "drop attended", "drop activation", "drop random")
_SEED = 20170619


Encode = Callable[[list[Grey]], list[Mapping[str, float]]]
"""Function of images (S, S) -> for each, finding -> probability."""


@dataclass(frozen=True)
class DeletionFigures:
    """Figures of a finding, or of all together."""

    pairs: int
    """Pairs of an image and a finding that it is labelled with."""
    figures: dict[str, Figure]
    """Figures by the names of `METRICS`: share of pairs where masking what the sentence attends to, or the top of the
    class activation map, lowers the probability more than masking at random, and mean falls of each."""


@dataclass(frozen=True)
class Deletion:
    """Figures of the deletion test."""

    most: int
    """Images of a finding at most."""
    masked: float
    """Share of the patches."""
    findings: dict[str, DeletionFigures]
    overall: DeletionFigures


@dataclass(frozen=True, eq=False)
class DeletionImage:
    """Image of the deletion test."""

    pixels: Grey
    """(S, S)"""
    probabilities: Mapping[str, float]
    """Probability by finding, of the unmasked image."""
    maps: Mapping[str, tuple[Floats, Floats | None]]
    """Finding -> map of its sentence, (rows, columns), and its class activation map if there is one."""


def measure_deletion(
    images: Sequence[DeletionImage],
    blank: Grey,
    probabilities: Encode,
    resamples: int,
) -> Deletion:
    """Mask images, and measure the fall of the probabilities of their labels.

    Args:
        images: at least one with a map.
        blank: (S, S) what pixels are replaced by.
        probabilities: function of images -> for each, finding -> probability.
        resamples: of the intervals, over images.
    """
    rows = [
        (finding, number, row)
        for number, image in enumerate(images)
        for finding, row in _drops(image, blank, probabilities, np.random.default_rng((_SEED, number))).items()
    ]
    values, findings = np.array([row for _, _, row in rows]), np.array([finding for finding, _, _ in rows])
    numbers = np.array([number for _, number, _ in rows])
    by_finding = {
        name: _figures(values[findings == name], numbers[findings == name], resamples)
        for name in sorted(set(findings.tolist()), key=FINDINGS.index)
    }
    return Deletion(most=MOST, masked=SHARE, findings=by_finding, overall=_figures(values, numbers, resamples))


def _drops(
    image: DeletionImage, blank: Grey, probabilities: Encode, random: np.random.Generator
) -> dict[str, list[float]]:
    """Mask an image by all its maps and at random: finding -> values of `METRICS`, nan without an activation map."""
    side = next(iter(image.maps.values()))[0].shape[0]
    masks = [_random_cells(side, random) for _ in range(RANDOM_MASKS)]
    for attention, activation in image.maps.values():
        active_cells = masks[-1] if activation is None else top_cells(_on_grid_of(attention, activation))
        masks += [top_cells(attention), active_cells]
    masked_tags = probabilities([masked(image.pixels, blank, mask) for mask in masks])
    values = {}
    for i, (finding, (_, activation)) in enumerate(image.maps.items()):
        drops = [image.probabilities[finding] - tags[finding] for tags in masked_tags]
        chance = float(np.mean(drops[:RANDOM_MASKS]))
        attended, active = drops[RANDOM_MASKS + 2 * i : RANDOM_MASKS + 2 * i + 2]
        if activation is None:
            values[finding] = [float(attended > chance), math.nan, attended, math.nan, chance]
        else:
            values[finding] = [float(attended > chance), float(active > chance), attended, active, chance]
    return values


def _figures(values: NDArray[np.float64], images: NDArray[np.int64], resamples: int) -> DeletionFigures:
    return DeletionFigures(len(values), pooled_means(METRICS, values, images, resamples))


def evenly(rows: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """Choose at most ``most`` of the rows, evenly spread."""
    return rows if len(rows) <= most else rows[np.arange(most) * len(rows) // most]


def top_cells(weights: Floats) -> NDArray[np.bool_]:
    """Cells with the most weight, `SHARE` of all but at least one, the first of equal ones: (rows, columns)."""
    cells = np.zeros(weights.size, bool)
    cells[np.argsort(-weights.ravel(), kind="stable")[: _count(weights.size)]] = True
    return cells.reshape(weights.shape)


def _random_cells(side: int, random: np.random.Generator) -> NDArray[np.bool_]:
    cells = np.zeros(side * side, bool)
    cells[random.choice(side * side, _count(side * side), replace=False)] = True
    return cells.reshape(side, side)


def _count(cells: int) -> int:
    return max(1, round(SHARE * cells))


def _on_grid_of(template: Floats, weights: Floats) -> Floats:
    """Resize a map to the grid of another, so that all masks have the same cells."""
    return resized(weights.ravel(), template.size).reshape(template.shape)


def masked(pixels: Grey, blank: Grey, cells: NDArray[np.bool_]) -> Grey:
    """Replace the pixels (S, S) of the ``cells`` (rows, columns) of the image's grid by those of ``blank`` (S, S)."""
    down, across = (np.arange(side) * count // side for side, count in zip(pixels.shape, cells.shape, strict=True))
    return np.where(cells[down][:, across], blank, pixels)
