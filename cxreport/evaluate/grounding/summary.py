"""Where maps point, beside where radiologists drew boxes: figures per finding, and their means over findings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxreport.evaluate.bootstrap import Draws, Figure, Statistics, by_study, draw_studies, pooled_means, ratios
from cxreport.evaluate.grounding.metrics import THRESHOLDS, Mask, leave_one_out, mass_ratio, overlaps, points
from cxreport.types import Floats

METRICS = ("pointing", "mass ratio", "IoU")
MODEL, SENTENCE, PRIOR, ACTIVATION, CHANCE = "model", "sentence", "prior", "activation", "chance"
POINTERS = (MODEL, SENTENCE, PRIOR, ACTIVATION, CHANCE)
"""The model's map for a sentence about the finding, written or not; that of the report's own sentence, where there is
one; the mean box of the finding in all other images; the class activation map; any pixel, and the whole image."""
LEAD = "model - prior"


@dataclass(frozen=True, eq=False)
class Place:
    """A finding that has boxes on an image."""

    image: str
    finding: str
    val: bool
    """Whether the image is of a val patient."""
    mask: Mask
    """(S, S) the boxes."""
    model: Floats
    """(rows, columns), as the others, of a sentence about the finding."""
    sentence: Floats | None
    """Of the report's own sentence."""
    activation: Floats | None
    """Of the tag."""


@dataclass(frozen=True)
class PointerFigures:
    """Of one finding and one kind of map."""

    pairs: int
    """Images with such a map."""
    threshold: float | None
    """Share of a map's maximum that the IoU is measured at, the best for all boxed images together: optimistic."""
    figures: dict[str, Figure]
    """By the names of `METRICS`."""


@dataclass(frozen=True)
class PlaceFigures:
    """Of all boxed images, or of some."""

    name: str
    images: int
    findings: dict[str, dict[str, PointerFigures]]
    """Finding -> who points, by the names of `POINTERS` -> figures."""
    means: dict[str, dict[str, Figure]]
    """Who points -> means over the findings."""
    lead: Figure
    """Mean over the findings of how much oftener the model's peak is inside than the prior's."""
    ahead: int
    """Findings where it is oftener inside."""


def measure_places(places: Sequence[Place], resamples: int) -> tuple[PlaceFigures, ...]:
    """Measure maps against boxes: of all boxed images, and of those of val patients where there are some.

    Args:
        places: one for each image and finding.
        resamples: of the intervals, over images.
    """
    scores = _score(places)
    findings = np.array([place.finding for place in places])
    thresholds = {name: _best(scores[findings == name]) for name in dict.fromkeys(p.finding for p in places)}
    values = np.stack([_at(row, thresholds[place.finding]) for place, row in zip(places, scores, strict=True)])
    sets = {"all boxed images": np.ones(len(places), bool), "val patients": np.array([p.val for p in places])}
    return tuple(
        _measure(
            name, [p for p, wanted in zip(places, chosen, strict=True) if wanted], values[chosen], thresholds, resamples
        )
        for name, chosen in sets.items()
        if chosen.any()
    )


def _score(places: Sequence[Place]) -> NDArray[np.float64]:
    """(N, pointers, 2 + T): pointing, mass ratio and the IoU at each threshold; nan where there is no such map."""
    scores = np.full((len(places), len(POINTERS), 2 + len(THRESHOLDS)), math.nan)
    priors: dict[int, Floats] = {}
    for finding in dict.fromkeys(place.finding for place in places):
        rows = [i for i, place in enumerate(places) if place.finding == finding]
        priors |= dict(zip(rows, leave_one_out([places[i].mask for i in rows]), strict=True))
    for i, place in enumerate(places):
        area = float(place.mask.mean())
        maps = (place.model, place.sentence, priors[i], place.activation)
        for j, weights in enumerate(maps):
            if weights is not None:
                scores[i, j, 0], scores[i, j, 1] = points(weights, place.mask), mass_ratio(weights, place.mask)
                scores[i, j, 2:] = overlaps(weights, place.mask)
        scores[i, POINTERS.index(CHANCE)] = [area, 1.0, *[area] * len(THRESHOLDS)]
    return scores


def _best(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """(pointers,) index of the threshold with the best mean IoU over the images of a finding."""
    known = ~np.isnan(scores[:, :, 2:])
    sums = np.where(known, scores[:, :, 2:], 0).sum(0)
    return np.asarray(sums.argmax(-1), np.int64)


def _at(scores: NDArray[np.float64], thresholds: NDArray[np.int64]) -> NDArray[np.float64]:
    """(pointers, 2 + T) of a place -> (pointers, metrics)."""
    return np.column_stack([scores[:, :2], scores[np.arange(len(scores)), 2 + thresholds]])


def _measure(
    name: str,
    places: Sequence[Place],
    values: NDArray[np.float64],
    thresholds: Mapping[str, NDArray[np.int64]],
    resamples: int,
) -> PlaceFigures:
    numbers = {image: i for i, image in enumerate(dict.fromkeys(place.image for place in places))}
    images = np.array([numbers[place.image] for place in places])
    findings = np.array([place.finding for place in places])
    present = [finding for finding in thresholds if (findings == finding).any()]
    by_finding = {
        finding: {
            pointer: _pointer(values[findings == finding, j], images[findings == finding], best, resamples)
            for j, (pointer, best) in enumerate(zip(POINTERS, thresholds[finding], strict=True))
        }
        for finding in present
    }
    columns = np.array([present.index(finding) for finding in findings])
    means, lead = _means(values, columns, images, draw_studies(len(numbers), resamples))
    ahead = sum(_pointing(of[MODEL]) > _pointing(of[PRIOR]) for of in by_finding.values())
    return PlaceFigures(name, len(numbers), by_finding, means, lead, ahead)


def _pointing(figures: PointerFigures) -> float:
    return figures.figures[METRICS[0]].value


def _pointer(values: NDArray[np.float64], images: NDArray[np.int64], best: np.int64, resamples: int) -> PointerFigures:
    """Figures (N, metrics) of those places that have such a map."""
    known = ~np.isnan(values[:, 0])
    if not known.any():
        return PointerFigures(0, None, {name: Figure(math.nan) for name in METRICS})
    figures = pooled_means(METRICS, values[known], images[known], resamples)
    return PointerFigures(int(known.sum()), float(THRESHOLDS[best]), figures)


def _means(
    values: NDArray[np.float64], findings: NDArray[np.int64], images: NDArray[np.int64], draws: Draws
) -> tuple[dict[str, dict[str, Figure]], Figure]:
    """Means over the findings of values (N, pointers, metrics), and the model's lead in pointing."""
    shape = (int(findings.max()) + 1, *values.shape[1:])
    known = ~np.isnan(values)
    counts, sums = np.zeros((len(values), *shape)), np.zeros((len(values), *shape))
    counts[np.arange(len(values)), findings] = known
    sums[np.arange(len(values)), findings] = np.where(known, values, 0)
    rows = by_study(np.column_stack([counts.reshape(len(values), -1), sums.reshape(len(values), -1)]), images)

    def over_findings(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        of = ratios(*np.split(sums, 2, axis=1)).reshape(-1, *shape)
        first, second = (of[:, :, POINTERS.index(name), 0] for name in (MODEL, PRIOR))
        flat = np.concatenate([of.reshape(len(of), shape[0], shape[1] * shape[2]), (first - second)[..., None]], axis=2)
        there = ~np.isnan(flat)
        return ratios(there.sum(1), np.where(there, flat, 0).sum(1))

    names = tuple(f"{pointer}/{metric}" for pointer in POINTERS for metric in METRICS)
    found = Statistics((*names, LEAD), rows, over_findings).estimate(draws)
    means = {pointer: {metric: found[f"{pointer}/{metric}"] for metric in METRICS} for pointer in POINTERS}
    return means, found[LEAD]
