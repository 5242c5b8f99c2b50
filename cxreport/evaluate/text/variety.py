"""How much reports differ from one another: what a constant report fails and BLEU does not see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxreport.evaluate.bootstrap import Figure
from cxreport.text.conventions import alphabetic_words

METRICS = ("distinct", "distinct, abnormal", "modal", "vocabulary", "mean words")


def variety(texts: Sequence[str], abnormal: NDArray[np.bool_]) -> dict[str, Figure]:
    """Measure the variety of texts.

    Intervals are not given: a resample repeats studies, which no longer are distinct.

    Args:
        texts: N texts of the same sections.
        abnormal: (N,) whether the reference states a finding.

    Returns:
        Share of distinct texts; the same among abnormal studies (nan without any); share of texts that are the most
        frequent one; number of different words; mean number of words.
    """
    words = [alphabetic_words(text) for text in texts]
    keys = [" ".join(some) for some in words]
    sick = [key for key, is_sick in zip(keys, abnormal, strict=True) if is_sick]
    values = (
        len(set(keys)) / len(keys),
        len(set(sick)) / len(sick) if sick else float("nan"),
        max(Counter(keys).values()) / len(keys),
        len(set().union(*words)),
        float(np.mean([len(some) for some in words])),
    )
    return {name: Figure(value) for name, value in zip(METRICS, values, strict=True)}
