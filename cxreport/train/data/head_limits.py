"""Limits of certainty of a tag head, chosen on val images, and on train images as if it had not learned them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cxreport.datasets import nih
from cxreport.model.manifest import CertaintyLimits
from cxreport.train.data.certainty import Opinions, fit_limits, held_out_probabilities
from cxreport.train.data.evidence import Adapter, fit_adapter
from cxreport.train.data.images import ImageSplits
from cxreport.types import Floats

_LEAST_POSITIVES = 10
_LEAST_SPREAD = 1e-3


def limited_head(
    head: Adapter, logits: Floats, val_logits: Floats, images: ImageSplits, tags: tuple[str, ...]
) -> tuple[Adapter, CertaintyLimits]:
    """Choose the limits of a tag head, on val images by adapters that were fitted without them, and on train images.

    Val images alone are too few: of the rarer findings they have some twenty.

    Args:
        head: adapter to the reporting tags, fitted to val images.
        logits: (M, T) of the first train images, calibrated.
        val_logits: (N, T) of the val images.
        images: with their labels, and with second opinions where there are tables of a teacher.
        tags: names of the reporting tags.

    Returns:
        the adapter with thresholds from which tags are told, and the other limits.
    """
    mask = nih.nih_mask(tags, images.tags)
    train = _opinions(images.train.labels[: len(logits)], images.relabels, tags, images.tags)
    val = _opinions(images.val.labels, images.val_relabels, tags, images.tags)

    def fit(rows: NDArray[np.bool_]) -> Callable[[Floats], Floats]:
        return fit_adapter(val_logits[rows], val.labels[rows], mask, own=mask).probabilities

    patients = [nih.patient(name) for name in images.val.names]
    unseen = as_unseen(logits, images.train.labels[: len(logits)], val_logits, images.val.labels)
    probabilities = np.concatenate([head.probabilities(unseen), held_out_probabilities(fit, val_logits, patients)])
    opinions = Opinions(np.concatenate([train.labels, val.labels]), np.concatenate([train.judged, val.judged]))
    known = head.weights.any(1) & (head.thresholds < 1) & (opinions.labels.sum(0) > 0)
    told, limits = fit_limits(tags, probabilities, opinions, known)
    return replace(head, thresholds=told), limits


def _opinions(labels: Floats, relabels: Floats | None, tags: tuple[str, ...], findings: tuple[str, ...]) -> Opinions:
    """Opinions of images about the reporting tags, from labels (N, T) of findings and relabels of as many or more."""
    either = labels if relabels is None else Opinions.of(labels, relabels[: len(labels)]).judged
    return Opinions(*(nih.nih_targets(opinion, tags, findings) for opinion in (labels, either)))


def as_unseen(logits: Floats, labels: Floats, val_logits: Floats, val_labels: Floats) -> Floats:
    """Logits (M, T) of images that the encoder has learned, brought to those of images that it has not seen.

    It tells its train images apart better than others (effusion: an area under the curve of .91 in place of .77), so
    that limits chosen on them would promise too much. Mean and deviation of each finding are made those of the val
    images with the same label; what the label leaves open, which is all that a limit depends on beside, stays.

    Args:
        logits: (M, T) of train images.
        labels: (M, T) 0 or 1.
        val_logits: (N, T) of val images.
        val_labels: (N, T) 0 or 1.
    """
    unseen = logits.copy()
    for t in range(logits.shape[1]):
        for label in (0, 1):
            rows, val_rows = labels[:, t] == label, val_labels[:, t] == label
            if min(rows.sum(), val_rows.sum()) >= _LEAST_POSITIVES:
                seen, new = logits[rows, t], val_logits[val_rows, t]
                scale = new.std() / max(float(seen.std()), _LEAST_SPREAD)
                unseen[rows, t] = (seen - seen.mean()) * scale + new.mean()
    return unseen
