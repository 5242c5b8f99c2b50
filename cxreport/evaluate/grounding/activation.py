"""Class activation maps (Zhou et al. 2016) of a bundle's tag head: what each patch adds to a tag's log odds.

The head is linear in the mean patch, and the encoder's graph gives out both the patches and the probabilities. So the
head's weights follow from enough images, by least squares, whatever the encoder in the graph. A head that is not linear
shows in its error on held-out images, and gets no maps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxreport.types import Floats

_RIDGE = 1e-9
"""Penalty per image, on features with a standard deviation of 1: it settles only directions without data."""
_LEAST, _MOST = 1e-12, 0.999
"""Range of probabilities whose 32 bits give their log odds well enough."""
_HELD_OUT = 10
"""Every tenth image is held out to check the fit."""
_TOLERANCE = 0.05
"""Error in standard deviations of the log odds up to which a map shows the same."""


@dataclass(frozen=True, eq=False)
class Head:
    """Tag head, recovered from its probabilities of images."""

    weights: NDArray[np.float64]
    """(T, D), log odds per unit of a feature of the mean patch."""
    images: int
    """Images that it was fitted to."""
    residuals: NDArray[np.float64]
    """(T,) root mean square error on held-out images, in standard deviations of the log odds; nan for tags with too few
    images whose probability is far enough from 0 and 1."""

    @property
    def recovered(self) -> NDArray[np.bool_]:
        """(T,) whether the weights are those of the head."""
        return np.asarray(self.residuals < _TOLERANCE)


def recover_head(means: NDArray[np.float64], probabilities: NDArray[np.float64]) -> Head:
    """Fit the weights of a linear head.

    Args:
        means: (N, D) mean patch of each image.
        probabilities: (N, T) of the tags.

    Returns:
        The head; its weights are 0 where there are fewer images than features.
    """
    held_out = np.arange(len(means)) % _HELD_OUT == _HELD_OUT - 1
    centre, spread = means.mean(0), means.std(0)
    scaled = (means - centre) / np.where(spread > 0, spread, 1)
    rows = np.column_stack([scaled, np.ones(len(means))])
    weights = np.zeros((probabilities.shape[1], means.shape[1]))
    residuals = np.full(len(weights), np.nan)
    for tag, p in enumerate(probabilities.T):
        usable = (p > _LEAST) & (p < _MOST)
        fitted, checked = usable & ~held_out, usable & held_out
        odds = np.log(p, where=usable, out=np.zeros_like(p)) - np.log1p(-p, where=usable, out=np.zeros_like(p))
        if fitted.sum() > rows.shape[1] and checked.any():
            solution = _ridge(rows[fitted], odds[fitted])
            error = np.sqrt(np.mean((rows[checked] @ solution - odds[checked]) ** 2))
            residuals[tag] = error / max(float(odds[fitted].std()), _LEAST)
            weights[tag] = solution[:-1] / np.where(spread > 0, spread, np.inf)
    return Head(weights=weights, images=int((~held_out).sum()), residuals=residuals)


def _ridge(rows: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares with a penalty on all but the last column, by its augmented rows, as normal equations lose half."""
    columns = rows.shape[1]
    penalty = math.sqrt(_RIDGE * len(rows)) * np.eye(columns)[:-1]
    augmented = np.vstack([rows, penalty])
    solution: NDArray[np.float64] = np.linalg.lstsq(augmented, np.append(values, np.zeros(columns - 1)))[0]
    return solution


def activation_map(patches: Floats, weights: NDArray[np.float64]) -> Floats:
    """Class activation map of a tag.

    Args:
        patches: (P, D) of a square grid.
        weights: (D,) of the tag.

    Returns:
        (rows, columns) with a sum of 1: what a patch adds beyond the mean patch; even where no patch adds anything.
    """
    added = patches.astype(np.float64) @ weights
    above = np.maximum(added - added.mean(), 0)
    side, total = math.isqrt(len(added)), above.sum()
    even = np.full_like(above, 1 / above.size)
    return np.asarray(above / total if total > 0 else even, np.float32).reshape(side, side)
