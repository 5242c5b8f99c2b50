"""Certainty: limits of the probabilities from which a report tells a tag, tells it flatly, and denies it.

They are chosen for what radiologists and readers expect of the words. Of the findings that are stated flatly at least
three of four should be there; one that is possible should be there far oftener than in any study; one that is denied
should hardly ever be there. The aims lie above that, as limits that look best on some examples are less good on others.
What is there is what either of two opinions says: mined labels miss half of it (Majkowska et al. 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxreport.model.manifest import CertaintyLimits
from cxreport.train.data.evidence import best_f1_threshold
from cxreport.types import Floats

_PRIOR = 10.0
"""Examples by which the share of a tag leans to that of all tags at the same probability."""
_LEAST = 5
"""Examples that a limit is chosen by."""
_NEVER, _NOTHING = 1.01, -0.01
_FOLDS = 5
_MOST_ASKED = 0.45
"""Share of right ones that is enough for a possible statement of any tag."""

_Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Aims:
    """Shares that limits are chosen for, above what is asked of a bundle."""

    flat: float = 0.86
    """Of the flat statements, those that are right by either opinion ..."""
    flat_by_label: float = 0.39
    """... and by the label alone."""
    possible: float = 0.36
    """Of the possible statements, those that are right: at least that, and more than in any study."""
    likely: float | None = 0.14
    """Probability by the label from which a tag is told: the same for all, as the micro-averaged F1 is highest where
    every tag is told from the same probability (Lipton et al. 2014). None takes each tag's own best threshold."""
    supported: float = 0.72
    """Of the possible statements, those right by either opinion, from which a tag is told at lower probabilities: one
    that labels hardly ever have would never be told otherwise."""
    specific: float = 0.60
    """Of what is told at the specific operating point, what is right."""
    absent: float = 0.976
    """Of the denials, those that are right."""
    denied: float = 0.15
    """Of those with one of ``acute``, the most that may be denied ..."""
    denied_otherwise: float = 0.30
    """... and of those with another tag."""
    acute: tuple[str, ...] = ("Pneumothorax", "Pleural Effusion")
    """Tags whose denial does harm where it is wrong."""
    sensitive: float = 0.90
    """Of the sick, those that are told at the sensitive operating point."""


IMAGE_AIMS = Aims()
"""Of labels and relabels of images."""
REPORT_AIMS = Aims(possible=0.2, likely=None, absent=0.955, denied=0.20, denied_otherwise=0.50)
"""Of reports, which leave out much of what an image shows: what they call possible is rarely said by the next one."""


@dataclass(frozen=True, eq=False)
class Opinions:
    """Opinions of N examples about R tags, 0 or 1."""

    labels: Floats
    """(N, R)"""
    judged: Floats
    """(N, R) of the label or a second opinion: either is enough."""

    @classmethod
    def of(cls, labels: Floats, relabels: Floats) -> Opinions:
        """Opinions with second ones, NaN where there is none."""
        return cls(labels, np.maximum(labels, np.nan_to_num(relabels)).astype(np.float32))


def held_out_probabilities(
    fit: Callable[[_Bools], Callable[[Floats], Floats]], inputs: Floats, groups: Sequence[str]
) -> Floats:
    """Probabilities (N, R) of examples by fits that they had no part in.

    Args:
        fit: examples (N,) to fit to -> function of inputs that gives probabilities.
        inputs: (N, T).
        groups: of the N examples, such as patients: those of one are held out together.
    """
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    fold = group % _FOLDS
    parts = [(fold == k, fit(fold != k)(inputs[fold == k])) for k in range(_FOLDS) if (fold == k).any()]
    held_out = np.empty((len(inputs), parts[0][1].shape[1]), np.float32)
    for rows, probabilities in parts:
        held_out[rows] = probabilities
    return held_out


def fit_limits(
    names: Sequence[str], probabilities: Floats, opinions: Opinions, known: _Bools, aims: Aims = IMAGE_AIMS
) -> tuple[Floats, CertaintyLimits]:
    """Choose limits on held-out examples.

    A tag with few examples leans to what all tags together are like at the same probability, so that chance alone does
    not make it certain; one that never gets there is never stated flatly.

    Args:
        names: of the R tags.
        probabilities: (N, R) by fits without these examples.
        opinions: of the same examples.
        known: (R,) tags that there is evidence of; the others are neither told nor denied.
        aims: that the limits are chosen for.

    Returns:
        (R,) probabilities from which tags are told, and the limits of how surely.
    """
    tags = np.flatnonzero(known & (opinions.judged.sum(0) > 0))
    pooled = _Curve(probabilities[:, tags].ravel(), opinions.judged[:, tags].ravel())
    pooled_labels = _Curve(probabilities[:, tags].ravel(), opinions.labels[:, tags].ravel())
    count = probabilities.shape[1]
    told = np.full(count, _NEVER, np.float32)
    certain, absent, sensitive, specific = (np.full(count, v, np.float32) for v in (_NEVER, _NOTHING, _NEVER, _NEVER))
    for r in tags:
        scores, labels, judged = probabilities[:, r], opinions.labels[:, r], opinions.judged[:, r]
        curve, by_label = _Curve(scores, judged), _Curve(scores, labels)
        above, above_by_label = curve.above(pooled), by_label.above(pooled_labels)
        likely = curve.scores >= (aims.likely or 0)  # flat words beside a tiny probability would seem a mistake
        certain[r] = curve.lowest(likely & (above >= aims.flat) & (above_by_label >= aims.flat_by_label))
        possible = _Curve(scores[scores < certain[r]], judged[scores < certain[r]])
        right = possible.above(pooled)
        least = possible.lowest(right >= max(aims.possible, min(float(judged.mean()), _MOST_ASKED)))
        if aims.likely is not None:
            threshold = max(min(aims.likely, possible.lowest(right >= aims.supported)), least)
        else:
            threshold = max(least, best_f1_threshold(scores, labels)) if labels.any() else least
        told[r] = min(threshold, certain[r])
        specific[r] = max(told[r], curve.lowest(above >= aims.specific))
        sensitive[r] = min(told[r], np.quantile(scores[judged > 0], 1 - aims.sensitive, method="lower"))
        absent[r] = min(
            curve.highest(pooled, aims.absent, aims.denied if names[int(r)] in aims.acute else aims.denied_otherwise),
            np.nextafter(told[r], np.float32(-1)),
        )
    return told, CertaintyLimits(certain=certain, absent=absent, sensitive=sensitive, specific=specific)


class _Curve:
    """Shares of positives among the examples above, or below, each probability that some example has."""

    def __init__(self, scores: Floats, positive: Floats) -> None:
        order = np.argsort(-scores, kind="stable")
        self.scores = scores[order]
        self.hits = np.cumsum(positive[order])
        self.counts = np.arange(1, len(scores) + 1)

    def above(self, pooled: _Curve) -> NDArray[np.float64]:
        """(N,) share of positives down to each example, the highest first, leaning to that of the pool."""
        prior = pooled.share_above(self.scores)
        shares = (self.hits + _PRIOR * prior) / (self.counts + _PRIOR)
        last = np.append(self.scores[1:] != self.scores[:-1], True)  # of equal probabilities all or none are above
        return np.where(last & (self.counts >= _LEAST), shares, 0.0)

    def share_above(self, scores: Floats) -> NDArray[np.float64]:
        """(M,) share of positives among the examples that reach each of M probabilities."""
        counts = np.searchsorted(-self.scores, -scores, side="right")
        return np.asarray(np.append(0, self.hits)[counts] / np.maximum(counts, 1))

    def lowest(self, good: _Bools) -> float:
        """The lowest probability at which something is so; one that none has where it never is."""
        rows = np.flatnonzero(good)
        return float(self.scores[rows[-1]]) if len(rows) else _NEVER

    def highest(self, pooled: _Curve, right: float, denied: float) -> float:
        """The highest probability up to which denials are right, and deny few of the sick; below 0 for none."""
        counts = len(self.scores) - self.counts + 1  # examples at or below each one
        missed = self.hits[-1] - np.append(0, self.hits[:-1])
        rest = pooled.hits[-1] - np.append(0, pooled.hits)
        among = np.searchsorted(-pooled.scores, -self.scores, side="left")  # of the pool, those above
        prior = rest[among] / np.maximum(len(pooled.scores) - among, 1)
        wrong = (missed + _PRIOR * prior) / (counts + _PRIOR)
        first = np.append(True, self.scores[1:] != self.scores[:-1])
        good = first & (wrong <= 1 - right) & (missed <= denied * self.hits[-1]) & (counts >= _LEAST)
        rows = np.flatnonzero(good)
        return float(self.scores[rows[0]]) if len(rows) else _NOTHING
