"""Pseudo-pairs: images of one collection with reports of another that share their tags."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from cxreport.datasets.nih import FINDINGS, nih_mask, nih_targets
from cxreport.text.lexicon import packaged
from cxreport.types import Floats

if TYPE_CHECKING:
    from cxreport.train.data.tensors import DecoderData


def nih_vector(tags: Collection[str]) -> Floats:
    """(14,) the NIH findings that reporting tags speak for."""
    evidence = packaged().nih_findings
    return np.array([any(f in evidence.get(tag, ()) for tag in tags) for f in FINDINGS], np.float32)


def stand_ins(labels: Floats, stated: Floats, evident: Floats) -> list[int]:
    """An image to measure each report with, by a rule in which no model has a part.

    It is the image whose labels come closest to the mean of the report's statements and a CheXNet's probabilities; of
    equally near ones the one that the fewest reports have.

    Args:
        labels: (N, 14) of the images.
        stated: (M, 14) findings that the reports state.
        evident: (M, 14) CheXNet's probabilities of the reports' own images; zeros where unknown.
    """
    uses = np.zeros(len(labels), np.int64)
    images = []
    for findings in (stated + evident) / 2:
        distances = ((labels - findings) ** 2).sum(1).round(6)
        nearest = np.flatnonzero(distances == distances.min())
        image = int(nearest[np.argmin(uses[nearest])])
        uses[image] += 1
        images.append(image)
    return images


def pseudo_pairs(
    labels: Floats,
    probabilities: Floats,
    data: DecoderData,
    evidence: Mapping[int, Floats],
    neighbours: int,
) -> Callable[[np.random.Generator], list[int]]:
    """Find the images that could have had each report.

    An image speaks by its labels and its evidence, a report by its text and, where there is one, by a
    CheXNet's evidence; each as the mean of the two, over the tags that NIH labels speak for, rare tags counting more.

    Args:
        labels: (N, 14) NIH labels.
        probabilities: (N, R) of the reporting tags, of a teacher or predicted for the images.
        data: train reports, and the R reporting tags.
        evidence: probabilities (R,) of the reporting tags by uid, from a CheXNet.
        neighbours: number of nearest images that a report draws from.

    Returns:
        a draw: random generator -> index of an image for every report, anew each epoch.
    """
    shared = nih_mask(data.tags, FINDINGS).any(1)
    images = (nih_targets(labels, data.tags, FINDINGS) + probabilities)[:, shared] / 2
    texts = np.array([[t in r.tags for t in data.tags] for r in data.train], np.float32)
    for i, report in enumerate(data.train):
        if report.uid in evidence:
            texts[i] = (texts[i] + evidence[report.uid]) / 2
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
