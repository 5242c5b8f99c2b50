"""Figures of maps against radiologists' boxes: per finding, and their means over findings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxreport.evaluate.bootstrap import Draws, Figure, Statistics, by_study, draw_studies, pooled_means, ratios
from cxreport.evaluate.grounding.metrics import THRESHOLDS, Mask, hit, leave_one_out, mass_ratio, overlaps
from cxreport.types import Floats

METRICS = ("pointing", "mass ratio", "IoU")
MODEL, SENTENCE, PRIOR, ACTIVATION, CHANCE = "model", "sentence", "prior", "activation", "chance"
MAPS = (MODEL, SENTENCE, PRIOR, ACTIVATION, CHANCE)
"""The model's map for a sentence about the finding, written or not; that of the report's own sentence, where there is
one; the mean box of the finding in all other images; the class activation map; any pixel, and the whole image."""
LEAD = "model - prior"

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BoxedFinding:
    """Finding that has boxes on an image, with the maps that should point there."""

    image: str
    finding: str
    val: bool
    """True if the image is of a val patient."""
    mask: Mask
    """(S, S) the boxes."""
    model: Floats
    """Map of a sentence about the finding: (rows, columns), as the others."""
    sentence: Floats | None = None
    """Map of the report's own sentence."""
    activation: Floats | None = None
    """Class activation map of the tag."""


@dataclass(frozen=True)
class MapFigures:
    """Figures of one finding and one kind of map."""

    pairs: int
    """Images with such a map."""
    threshold: float | None
    """Share of a map's maximum that the IoU is measured at, the best for all boxed images together: optimistic."""
    figures: dict[str, Figure]
    """Figures by the names of `METRICS`."""


@dataclass(frozen=True)
class BoxFigures:
    """Figures of all boxed images, or of a subset."""

    name: str
    images: int
    findings: dict[str, dict[str, MapFigures]]
    """Finding -> kind of map, by the names of `MAPS` -> figures."""
    means: dict[str, dict[str, Figure]]
    """Kind of map -> means over the findings."""
    lead: Figure
    """Mean over the findings of how much oftener the model's peak is inside than the prior's."""
    ahead: int
    """Findings where it is oftener inside."""


def measure_maps(boxed: Sequence[BoxedFinding], resamples: int) -> tuple[BoxFigures, ...]:
    """Measure maps against boxes: of all boxed images, and of those of val patients where there are any.

    Args:
        boxed: one for each image and finding.
        resamples: of the intervals, over images.
    """
    scores = _score(boxed)
    findings = np.array([pair.finding for pair in boxed])
    thresholds = {name: _best(scores[findings == name]) for name in dict.fromkeys(pair.finding for pair in boxed)}
    values = np.stack([_at(row, thresholds[pair.finding]) for pair, row in zip(boxed, scores, strict=True)])
    sets = {"all boxed images": np.ones(len(boxed), bool), "val patients": np.array([pair.val for pair in boxed])}
    return tuple(
        _Summary([boxed[i] for i in np.flatnonzero(subset).tolist()], values[subset], thresholds, resamples).figures(
            name
        )
        for name, subset in sets.items()
        if subset.any()
    )


def _score(boxed: Sequence[BoxedFinding]) -> Values:
    """Pointing, mass ratio and the IoU at each threshold: (N, maps, 2 + T); nan where there is no such map."""
    scores = np.full((len(boxed), len(MAPS), 2 + len(THRESHOLDS)), math.nan)
    priors: dict[int, Floats] = {}
    for finding in dict.fromkeys(pair.finding for pair in boxed):
        rows = [i for i, pair in enumerate(boxed) if pair.finding == finding]
        priors |= dict(zip(rows, leave_one_out([boxed[i].mask for i in rows]), strict=True))
    for i, pair in enumerate(boxed):
        area = float(pair.mask.mean())
        for j, weights in enumerate((pair.model, pair.sentence, priors[i], pair.activation)):
            if weights is not None:
                scores[i, j, 0], scores[i, j, 1] = hit(weights, pair.mask), mass_ratio(weights, pair.mask)
                scores[i, j, 2:] = overlaps(weights, pair.mask)
        scores[i, MAPS.index(CHANCE)] = [area, 1.0, *[area] * len(THRESHOLDS)]
    return scores


def _best(scores: Values) -> NDArray[np.int64]:
    """Index of the threshold with the best mean IoU over the images of a finding: (maps,)."""
    overlap = scores[:, :, 2:]
    sums = np.where(np.isnan(overlap), 0, overlap).sum(0)
    return np.asarray(sums.argmax(-1), np.int64)


def _at(scores: Values, thresholds: NDArray[np.int64]) -> Values:
    """Values at the thresholds of a finding: (maps, 2 + T) -> (maps, metrics)."""
    return np.column_stack([scores[:, :2], scores[np.arange(len(scores)), 2 + thresholds]])


@dataclass(frozen=True, eq=False)
class _Summary:
    """Summary of a set of boxed findings."""

    boxed: Sequence[BoxedFinding]
    values: Values
    """(N, maps, metrics)"""
    thresholds: Mapping[str, NDArray[np.int64]]
    """Finding -> (maps,) index of the threshold."""
    resamples: int

    def figures(self, name: str) -> BoxFigures:
        numbers = {image: i for i, image in enumerate(dict.fromkeys(pair.image for pair in self.boxed))}
        images = np.array([numbers[pair.image] for pair in self.boxed])
        findings = np.array([pair.finding for pair in self.boxed])
        present = [finding for finding in self.thresholds if (findings == finding).any()]
        by_finding = {finding: self._by_map(finding, findings == finding, images) for finding in present}
        columns = np.array([present.index(finding) for finding in findings])
        means, lead = _means(self.values, columns, images, draw_studies(len(numbers), self.resamples))
        return BoxFigures(
            name=name,
            images=len(numbers),
            findings=by_finding,
            means=means,
            lead=lead,
            ahead=sum(_pointing(maps[MODEL]) > _pointing(maps[PRIOR]) for maps in by_finding.values()),
        )

    def _by_map(self, finding: str, rows: NDArray[np.bool_], images: NDArray[np.int64]) -> dict[str, MapFigures]:
        """Kind of map -> figures of a finding, which the pairs in ``rows`` (N,) have."""
        thresholds = zip(MAPS, self.thresholds[finding], strict=True)
        return {
            kind: _map_figures(self.values[rows, j], images[rows], threshold, self.resamples)
            for j, (kind, threshold) in enumerate(thresholds)
        }


def _pointing(figures: MapFigures) -> float:
    return figures.figures[METRICS[0]].value


def _map_figures(values: Values, images: NDArray[np.int64], threshold: np.int64, resamples: int) -> MapFigures:
    """Figures of one kind of map from values (N, metrics), over the pairs that have such a map."""
    present = ~np.isnan(values[:, 0])
    if not present.any():
        return MapFigures(pairs=0, threshold=None, figures={name: Figure(math.nan) for name in METRICS})
    figures = pooled_means(METRICS, values[present], images[present], resamples)
    return MapFigures(pairs=int(present.sum()), threshold=float(THRESHOLDS[threshold]), figures=figures)


def _means(
    values: Values, findings: NDArray[np.int64], images: NDArray[np.int64], draws: Draws
) -> tuple[dict[str, dict[str, Figure]], Figure]:
    """Means over the findings of values (N, maps, metrics), and the model's lead in pointing."""
    shape = (int(findings.max()) + 1, *values.shape[1:])
    defined = ~np.isnan(values)
    counts, sums = np.zeros((len(values), *shape)), np.zeros((len(values), *shape))
    counts[np.arange(len(values)), findings] = defined
    sums[np.arange(len(values)), findings] = np.where(defined, values, 0)
    rows = by_study(np.column_stack([counts.reshape(len(values), -1), sums.reshape(len(values), -1)]), images)

    def over_findings(sums: Values) -> Values:
        means = ratios(*np.split(sums, 2, axis=1)).reshape(-1, *shape)
        model, prior = (means[:, :, MAPS.index(kind), 0] for kind in (MODEL, PRIOR))
        flat = means.reshape(len(means), shape[0], shape[1] * shape[2])
        flat = np.concatenate([flat, (model - prior)[..., None]], axis=2)
        defined = ~np.isnan(flat)
        return ratios(defined.sum(1), np.where(defined, flat, 0).sum(1))

    names = tuple(f"{kind}/{metric}" for kind in MAPS for metric in METRICS)
    figures = Statistics((*names, LEAD), rows, over_findings).estimate(draws)
    means = {kind: {metric: figures[f"{kind}/{metric}"] for metric in METRICS} for kind in MAPS}
    return means, figures[LEAD]
