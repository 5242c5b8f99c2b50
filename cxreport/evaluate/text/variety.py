"""Variety of reports: what a constant report fails and BLEU does not see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxreport.evaluate.bootstrap import Figure
from cxreport.text.scoring_conventions import alphabetic_words

METRICS = ("distinct", "distinct, abnormal", "modal", "vocabulary", "mean words")


def variety(texts: Sequence[str], abnormal: NDArray[np.bool_]) -> dict[str, Figure]:
    """Measure the variety of texts, without intervals: a resample repeats studies, whose texts are not distinct.

    Args:
        texts: N texts of the same sections.
        abnormal: (N,) whether the reference states a finding.

    Returns:
        Share of distinct texts; the same among abnormal studies (nan without any); share of texts that are the most
        frequent one; number of different words; mean number of words.
    """
    words = [alphabetic_words(text) for text in texts]
    keys = [" ".join(text) for text in words]
    abnormal_keys = [key for key, is_abnormal in zip(keys, abnormal, strict=True) if is_abnormal]
    values = (
        len(set(keys)) / len(keys),
        len(set(abnormal_keys)) / len(abnormal_keys) if abnormal_keys else float("nan"),
        max(Counter(keys).values()) / len(keys),
        len(set().union(*words)),
        float(np.mean([len(text) for text in words])),
    )
    return {name: Figure(value) for name, value in zip(METRICS, values, strict=True)}
