"""Variety of reports: what a constant report fails and BLEU does not see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from cxreport.evaluate.bootstrap import Figure
from cxreport.text.consistency import statements
from cxreport.text.lexicon import packaged, split_sentences
from cxreport.text.scoring_conventions import alphabetic_words

_CONTENT = ("distinct by content", "content, abnormal")
METRICS = ("distinct", "distinct, abnormal", *_CONTENT, "modal", "vocabulary", "mean words")


def report_variety(texts: Sequence[str], abnormal: NDArray[np.bool_]) -> dict[str, Figure]:
    """Measure the variety of reports: that of their words, as `variety` has it, and that of their content.

    Two texts have the same content if they state the same findings, as surely and of the same side, place and degree,
    in whatever words; what they deny does not count.

    Args:
        texts: N texts of the same sections.
        abnormal: (N,) whether the reference states a finding.
    """
    contents = [statements(split_sentences(text), packaged()) for text in texts]
    chosen = [content for content, is_abnormal in zip(contents, abnormal, strict=True) if is_abnormal]
    shares = (_distinct(contents), _distinct(chosen))
    return variety(texts, abnormal) | {name: Figure(share) for name, share in zip(_CONTENT, shares, strict=True)}


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
        _distinct(keys),
        _distinct(abnormal_keys),
        max(Counter(keys).values()) / len(keys),
        len(set().union(*words)),
        float(np.mean([len(text) for text in words])),
    )
    names = [name for name in METRICS if name not in _CONTENT]
    return {name: Figure(value) for name, value in zip(names, values, strict=True)}


def _distinct(values: Sequence[Hashable]) -> float:
    """Share of different values; nan without any."""
    return len(set(values)) / len(values) if values else float("nan")
