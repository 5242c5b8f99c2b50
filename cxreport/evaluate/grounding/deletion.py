"""Deletion test: whether the tag head's probability falls where the patches that a map attends to are masked.

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
"""Images with a finding that are taken at most, evenly spread over the val images."""
SHARE = 0.2
"""Of the patches that are masked."""
RANDOM_MASKS = 3
"""Whose mean is compared."""
METRICS = ("attended", "activation", "drop attended", "drop activation", "drop random")
_SEED = 20170619


@dataclass(frozen=True)
class DeletionFigures:
    """Of a finding, or of all together."""

    pairs: int
    """Of an image and a finding that it is labelled with."""
    figures: dict[str, Figure]
    """By the names of `METRICS`: the share of pairs where masking what the sentence attends to, or the top of the class
    activation map, lowers the probability more than masking at random, and how much each lowers it, on average."""


@dataclass(frozen=True)
class Deletion:
    """The deletion test."""

    most: int
    """Images of a finding at most."""
    masked: float
    """Share of the patches."""
    findings: dict[str, DeletionFigures]
    overall: DeletionFigures


@dataclass(frozen=True, eq=False)
class Watched:
    """An image whose tags are watched while it is masked."""

    pixels: Grey
    """(S, S)"""
    probabilities: Mapping[str, float]
    """By finding, of the whole image."""
    maps: Mapping[str, tuple[Floats, Floats | None]]
    """Finding -> where its sentence looks, (rows, columns), and its class activation map if there is one."""


def measure_deletion(
    images: Sequence[Watched],
    blank: Grey,
    probabilities: Callable[[list[Grey]], list[Mapping[str, float]]],
    resamples: int,
) -> Deletion:
    """Mask images and see what becomes of the tags that they are labelled with.

    Args:
        images: at least one with a map.
        blank: (S, S) what pixels are replaced by.
        probabilities: encodes images: by finding, for each image.
        resamples: of the intervals, over images.
    """
    findings, rows, places = [], [], []
    for number, image in enumerate(images):
        random = np.random.default_rng((_SEED, number))
        first = next(iter(image.maps.values()))[0]
        masks = [_any_cells(first.shape[0], random) for _ in range(RANDOM_MASKS)]
        for own, other in image.maps.values():
            masks += [top_cells(own), masks[-1] if other is None else top_cells(_as_fine_as(own, other))]
        after = probabilities([masked(image.pixels, blank, mask) for mask in masks])
        for i, (finding, (_, other)) in enumerate(image.maps.items()):
            before = image.probabilities[finding]
            drops = [before - some[finding] for some in after]
            by_chance = float(np.mean(drops[:RANDOM_MASKS]))
            attended, active = drops[RANDOM_MASKS + 2 * i : RANDOM_MASKS + 2 * i + 2]
            more = [float(attended > by_chance), float(active > by_chance), attended, active, by_chance]
            rows.append(more if other is not None else [more[0], math.nan, attended, math.nan, by_chance])
            findings.append(finding)
            places.append(number)
    values, named, where = np.array(rows), np.array(findings), np.array(places)
    by_finding = {
        name: _figures(values[named == name], where[named == name], resamples)
        for name in sorted(set(findings), key=FINDINGS.index)
    }
    return Deletion(MOST, SHARE, by_finding, _figures(values, where, resamples))


def _figures(values: NDArray[np.float64], images: NDArray[np.int64], resamples: int) -> DeletionFigures:
    return DeletionFigures(len(values), pooled_means(METRICS, values, images, resamples))


def evenly(rows: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """At most so many of some rows, evenly spread."""
    return rows if len(rows) <= most else rows[np.arange(most) * len(rows) // most]


def top_cells(weights: Floats) -> NDArray[np.bool_]:
    """(rows, columns) the share `SHARE` of a map with the most weight, at least one cell, the first of equal ones."""
    cells = np.zeros(weights.size, bool)
    cells[np.argsort(-weights.ravel(), kind="stable")[: _count(weights.size)]] = True
    return cells.reshape(weights.shape)


def _any_cells(side: int, random: np.random.Generator) -> NDArray[np.bool_]:
    cells = np.zeros(side * side, bool)
    cells[random.choice(side * side, _count(side * side), replace=False)] = True
    return cells.reshape(side, side)


def _count(cells: int) -> int:
    return max(1, round(SHARE * cells))


def _as_fine_as(wanted: Floats, weights: Floats) -> Floats:
    """Bring a map to the grid of another, so that all masks have the same cells."""
    return resized(weights.ravel(), wanted.size).reshape(wanted.shape)


def masked(pixels: Grey, blank: Grey, cells: NDArray[np.bool_]) -> Grey:
    """(S, S) pixels, those of the ``cells`` (rows, columns) of its grid replaced by ``blank`` (S, S)."""
    down, across = (np.arange(side) * count // side for side, count in zip(pixels.shape, cells.shape, strict=True))
    return np.where(cells[down][:, across], blank, pixels)
