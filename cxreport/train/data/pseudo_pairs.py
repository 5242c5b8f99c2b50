"""Unpaired training: images of one collection meet reports of another through the tags that both have."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from cxreport.datasets.nih import FINDINGS, nih_mask, nih_targets
from cxreport.text.lexicon import packaged
from cxreport.train.data.targets import TargetReport
from cxreport.types import Floats


def nih_vector(tags: Collection[str]) -> Floats:
    """(14,) the NIH findings that reporting tags speak for."""
    evidence = packaged().nih_findings
    return np.array([any(f in evidence.get(tag, ()) for tag in tags) for f in FINDINGS], np.float32)


def stand_ins(labels: Floats, stated: Floats, evident: Floats) -> list[int]:
    """An image for every report to be measured with, by a rule that no model has a part in.

    It is the image whose labels come closest to what the report states and a CheXNet says of its own image; of
    equally near ones the one that the fewest reports have.

    Args:
        labels: (N, 14) of the images.
        stated: (M, 14) findings that the reports state.
        evident: (M, 14) CheXNet's probabilities of the reports' own images; zeros where unknown.
    """
    used = np.zeros(len(labels), np.int64)
    chosen = []
    for wanted in (stated + evident) / 2:
        distances = ((labels - wanted) ** 2).sum(1).round(6)
        nearest = np.flatnonzero(distances == distances.min())
        image = int(nearest[np.argmin(used[nearest])])
        used[image] += 1
        chosen.append(image)
    return chosen


def pseudo_pairs(
    labels: Floats,
    probabilities: Floats,
    reports: list[TargetReport],
    tags: tuple[str, ...],
    evident: dict[int, Floats],
    neighbours: int,
) -> Callable[[np.random.Generator], list[int]]:
    """Find the images that could have had each report.

    An image speaks by its labels and its predicted probabilities, a report by its text and, where there is one, by a
    CheXNet's evidence; each as the mean of the two, over the tags that NIH labels speak for, rare tags counting more.

    Args:
        labels: (N, 14) NIH labels.
        probabilities: (N, R) reporting tags predicted for the images.
        reports: the decoder's targets.
        tags: the R reporting tags.
        evident: probabilities (R,) of the reporting tags by uid, from a CheXNet.
        neighbours: how many of the nearest images a report draws from.

    Returns:
        A draw: random generator -> index of an image for every report, anew each epoch.
    """
    shared = nih_mask(tags, FINDINGS).any(1)
    images = (nih_targets(labels, tags, FINDINGS) + probabilities)[:, shared] / 2
    texts = np.array([[t in r.tags for t in tags] for r in reports], np.float32)
    for i, report in enumerate(reports):
        if report.uid in evident:
            texts[i] = (texts[i] + evident[report.uid]) / 2
    texts = texts[:, shared]
    scale = 1 / np.sqrt(texts.var(0) + 1e-3)
    distances = (
        ((texts * scale) ** 2).sum(1)[:, None]
        + ((images * scale) ** 2).sum(1)[None]
        - 2 * (texts * scale) @ (images * scale).T
    )
    nearest = np.argsort(distances, axis=1, kind="stable")[:, : min(neighbours, len(images))]

    def draw(rng: np.random.Generator) -> list[int]:
        picked = rng.integers(0, nearest.shape[1], len(nearest))
        return [int(i) for i in nearest[np.arange(len(nearest)), picked]]

    return draw
