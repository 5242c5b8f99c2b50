"""Adapters from a classifier's tags to the decoder's reporting tags, one per source of evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from cxreport.drafting.plan import log_odds, unusual_evidence
from cxreport.model.manifest import CertaintyLimits, EvidenceModel
from cxreport.types import Floats

if TYPE_CHECKING:
    from cxreport.train.data.targets import TargetReport

_LEAST_POSITIVES = 10
_MOST_ALARMS = 2.0
_LEAST_SPREAD = 1e-3
_LEAST_SLOPE, _MOST_SLOPE = 0.05, 5.0
_NEVER = -20.0  # bias of a tag without evidence
_FIRST_ROOT = 0.3  # of a weight that is a square; at 0 it would have no gradient
_RANGE = (10, 50, 90)
"""Percentiles that two scales are matched by."""


@dataclass(frozen=True)
class Adapter:
    """Logistic regression per reporting tag: weights (R, T) on the classifier's logits, bias (R,), thresholds (R,)."""

    weights: Floats
    bias: Floats
    thresholds: Floats

    def probabilities(self, logits: Floats) -> Floats:
        """(N, T) logits -> (N, R) probabilities."""
        return np.asarray(1 / (1 + np.exp(-(logits @ self.weights.T + self.bias))), np.float32)


@dataclass(frozen=True, eq=False)
class ReportEvidence:
    """A classifier's evidence on the images of reports, by uid."""

    source: EvidenceModel
    logits: dict[int, Floats]
    """(T,) of the classifier's tags."""
    probabilities: dict[int, Floats]
    """(R,) of the reporting tags."""

    @property
    def unusual(self) -> dict[int, Floats]:
        """(R,) standard scores of the evidence."""
        return {uid: unusual_evidence(self.source, p) for uid, p in self.probabilities.items()}


def logit(probabilities: Floats) -> Floats:
    """Log odds as inference takes them, in single precision."""
    return np.asarray(log_odds(probabilities), np.float32)


def fit_adapter(
    logits: Floats,
    targets: Floats,
    allowed: NDArray[np.bool_] | None = None,
    *,
    own: NDArray[np.bool_] | None = None,
    penalty: float = 1e-2,
    folds: int = 5,
) -> Adapter:
    """Fit an adapter; thresholds maximise F1 on probabilities of held-out folds.

    Args:
        logits: (N, T) of the classifier.
        targets: (N, R) 0 or 1.
        allowed: (R, T) which logits a tag may use; all by default. A tag with none, or with fewer than 10 positives
            to choose a threshold by, keeps to the 99th percentile of its probabilities at least.
        own: (R, T) logits of the same name as the tag, whose weights are not negative: a classifier that is surer of a
            finding never makes it less likely. None by default.
        penalty: weight of the squared coefficients of the standardised logits.
        folds: for the thresholds; fewer examples than folds are fitted and judged together.
    """
    allowed = np.ones((targets.shape[1], logits.shape[1]), bool) if allowed is None else allowed
    own = np.zeros_like(allowed) if own is None else own
    weights, bias = _fit(logits, targets, allowed, own, penalty)
    held_out = Adapter(weights, bias, bias).probabilities(logits)
    fold = np.arange(len(logits)) % folds
    for k in range(folds if len(logits) >= folds else 0):
        held_out[fold == k] = Adapter(
            *_fit(logits[fold != k], targets[fold != k], allowed, own, penalty), bias
        ).probabilities(logits[fold == k])
    usable = allowed.any(1) & (targets.sum(0) > 0)
    bias = np.where(usable, bias, _NEVER).astype(np.float32)
    thresholds = np.array(
        [best_f1_threshold(held_out[:, r], targets[:, r]) for r in range(targets.shape[1])], np.float32
    )
    return Adapter(weights, bias, np.where(usable, thresholds, 1.0).astype(np.float32))


def _fit(
    logits: Floats, targets: Floats, allowed: NDArray[np.bool_], own: NDArray[np.bool_], penalty: float
) -> tuple[Floats, Floats]:
    mean, std = logits.mean(0), logits.std(0) + 1e-6
    x, y = torch.from_numpy((logits - mean) / std), torch.from_numpy(targets)
    mask = torch.from_numpy(allowed.astype(np.float32))
    rising = torch.from_numpy(own)
    roots = torch.where(rising, torch.full(mask.shape, _FIRST_ROOT), torch.zeros(mask.shape)).requires_grad_()
    prior = y.mean(0).clamp(1e-4, 1 - 1e-4)
    bias = prior.logit().requires_grad_()
    optimiser = torch.optim.LBFGS([roots, bias], max_iter=200, line_search_fn="strong_wolfe")

    def weights() -> torch.Tensor:
        return torch.where(rising, roots.square(), roots) * mask

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        fit = F.binary_cross_entropy_with_logits(x @ weights().t() + bias, y, reduction="none").mean(0).sum()
        total = fit + penalty * weights().square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    scaled = weights().detach().numpy() / std
    return scaled.astype(np.float32), (bias.detach().numpy() - scaled @ mean).astype(np.float32)


def best_f1_threshold(scores: Floats, targets: Floats) -> float:
    """The threshold with the best F1 that raises at most two alarms per positive; with few at the 99th percentile.

    Without the bound, F1 of a tag that is hardly told apart is best where nearly everybody is positive.
    """
    positives = targets.sum()
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(targets[order])
    f1 = 2 * hits / (np.arange(1, len(scores) + 1) + positives)
    alarms = max(1, int(_MOST_ALARMS * positives))
    best = float(scores[order[int(np.argmax(f1[:alarms]))]])
    return max(best, float(np.quantile(scores, 0.99))) if positives < _LEAST_POSITIVES else best


def calibrate(logits: Floats, labels: Floats) -> Adapter:
    """Platt's scaling (1999) of every tag by itself; none for a tag with too few positives, or an extreme scale.

    Args:
        logits: (N, T) of the tag head on images that it was not trained on.
        labels: (N, T) 0 or 1.
    """
    identity = np.eye(labels.shape[1], dtype=bool)
    adapter = fit_adapter(logits, labels, identity, penalty=1e-3)
    slope = np.diag(adapter.weights)
    few = (labels.sum(0) < _LEAST_POSITIVES) | (slope < _LEAST_SLOPE) | (slope > _MOST_SLOPE)
    slope, bias = np.where(few, 1, slope), np.where(few, 0, adapter.bias)
    scaling = Adapter((identity * slope).astype(np.float32), bias.astype(np.float32), adapter.thresholds)
    scores = scaling.probabilities(logits)
    thresholds = [best_f1_threshold(scores[:, t], labels[:, t]) for t in range(labels.shape[1])]
    return replace(scaling, thresholds=np.where(few, thresholds, adapter.thresholds).astype(np.float32))


def source(
    adapter: Adapter,
    inputs: tuple[str, ...],
    logits: Floats,
    shares: Floats,
    limits: CertaintyLimits | None = None,
) -> EvidenceModel:
    """An adapter as a bundle has it.

    Args:
        adapter: fitted.
        inputs: the classifier's tag names.
        logits: (N, T) of typical images.
        shares: (R, 2) of the sentences that call a tag mild, and marked.
        limits: of how surely tags are told.
    """
    cuts, moments = degree_cuts(adapter, logits, shares), usual_evidence(adapter, logits)
    return EvidenceModel(inputs, adapter.weights, adapter.bias, adapter.thresholds, *cuts, *moments, limits)


def usual_evidence(adapter: Adapter, logits: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation (R,) of the reporting tags' log odds among typical images, of logits (N, T)."""
    odds = log_odds(adapter.probabilities(logits))
    return odds.mean(0).astype(np.float32), np.maximum(odds.std(0), _LEAST_SPREAD).astype(np.float32)


def degree_cuts(adapter: Adapter, logits: Floats, shares: Floats) -> tuple[Floats, Floats]:
    """Probabilities between which a positive tag has no degree, so that degrees are as frequent as in the reports.

    Radiologists' degrees follow the evidence: among Open-I studies with an effusion, CheXNet's probability tells
    those called large from the others with an AUC of .76 (cardiomegaly .65, lung lesion .74).

    Args:
        adapter: of a source of evidence.
        logits: (N, T) of typical images.
        shares: (R, 2) of the sentences that call a tag mild, and marked.

    Returns:
        (R,) mild below, (R,) marked above; 0 and 1, so never, for a tag that fewer than 10 of the images have.
    """
    probabilities = adapter.probabilities(logits)
    mild, marked = np.zeros(len(shares), np.float32), np.ones(len(shares), np.float32)
    for r, (low, high) in enumerate(shares):
        positive = probabilities[probabilities[:, r] >= adapter.thresholds[r], r]
        if len(positive) >= _LEAST_POSITIVES:
            mild[r], marked[r] = np.quantile(positive, [low, 1 - high])
    return mild, marked


def taught_evidence(
    taught: Floats, labels: Floats, chexnet: ReportEvidence, targets: Sequence[TargetReport]
) -> NDArray[np.float32]:
    """Evidence of images as a CheXNet gives it of the reports' images: the same quantity on both sides.

    Args:
        taught: (N, 14) logits of a teacher for the images.
        labels: (N, 14) NIH labels of the images.
        chexnet: evidence of the reports.
        targets: train reports.

    Returns:
        (N, R) probabilities of the reporting tags; on the teacher's own scale where one side has nothing normal.
    """
    reports = [chexnet.logits[t.uid] for t in targets if t.uid in chexnet.logits and not t.stated]
    images = taught[labels.sum(1) == 0]
    if reports and len(images):
        taught = match_scale(taught, images, np.stack(reports))
    source = chexnet.source
    return Adapter(source.weights, source.bias, source.thresholds).probabilities(taught)


def match_scale(logits: Floats, normal: Floats, reference: Floats) -> Floats:
    """Logits (N, T) shifted and stretched to the scale of another network.

    Two networks for the same findings need not agree on what a logit means, nor two collections on how many are sick.
    What both call normal is alike; so each finding's median and range of 80 % are made the same there.

    Args:
        logits: of one network.
        normal: (M, T) of the same network, images that are called normal.
        reference: (K, T) of the other one, on other images that are called normal.
    """
    (low, median, high), (to_low, to_median, to_high) = (np.percentile(x, _RANGE, axis=0) for x in (normal, reference))
    stretch = (to_high - to_low) / np.maximum(high - low, _LEAST_SPREAD)
    return np.asarray((logits - median) * stretch + to_median, np.float32)
