"""Area under the ROC curve of each tag, from ranks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def average_ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Ranks (N,) from 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse], np.float64)


def auc(scores: NDArray[np.floating], labels: NDArray[np.floating]) -> float:
    """Area under the ROC curve of one tag (Mann-Whitney, ties count half); nan without both classes."""
    positive = labels > 0.5
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return float("nan")
    return float(
        (average_ranks(scores)[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)
    )


def auc_per_tag(
    scores: NDArray[np.floating], labels: NDArray[np.floating], tags: tuple[str, ...], least: int = 10
) -> dict[str, float]:
    """AUC of every tag with at least ``least`` positives; ``mean`` averages them."""
    per_tag = {t: auc(scores[:, i], labels[:, i]) for i, t in enumerate(tags) if labels[:, i].sum() >= least}
    return per_tag | {"mean": float(np.mean(list(per_tag.values()))) if per_tag else float("nan")}
