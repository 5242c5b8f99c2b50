"""Reports without a model, to compare the figures of one with: constant, frequent, random and nearest train texts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import reduce
from operator import or_

import numpy as np
from numpy.typing import NDArray

from cxreport.drafting.plan import log_odds
from cxreport.evaluate.text.metrics import bleu, closest_length

_SEED = 20200716
_ORDER = 4


def best_constant(train: Sequence[str], references: Sequence[Sequence[str]] | None = None) -> int:
    """Find the train text with the best corpus BLEU-4 when it is written for every train study: its index.

    All texts are tried, exactly: with one text for all, the correct n-grams are a sum over its n-grams of how many
    studies have each in a reference at least once, twice and so on, which one pass over the references counts.

    Args:
        train: M prepared texts.
        references: prepared texts of each of N train studies; None takes the M texts, one each.
    """
    references = [[text] for text in train] if references is None else references
    at_least: defaultdict[tuple[str, ...], Counter[int]] = defaultdict(Counter)
    for texts in references:
        for ngram, times in reduce(or_, (_ngrams(text.split()) for text in texts)).items():
            at_least[ngram].update(range(1, times + 1))
    lengths = [len(text.split()) for text in train]
    reference_lengths = [[len(text.split()) for text in texts] for texts in references]
    closest = {n: sum(closest_length(n, choices) for choices in reference_lengths) for n in set(lengths)}
    sums = np.zeros((len(train), 2 + 2 * _ORDER))
    sums[:, 0], sums[:, 1] = np.array(lengths) * len(references), [closest[length] for length in lengths]
    for n in range(_ORDER):
        sums[:, 2 + n] = np.maximum(np.array(lengths) - n, 0) * len(references)
    for i, text in enumerate(train):
        for ngram, times in _ngrams(text.split()).items():
            sums[i, 1 + _ORDER + len(ngram)] += sum(at_least[ngram][k] for k in range(1, times + 1))
    return int(np.argmax(bleu(sums)[:, -1]))


def most_frequent(train: Sequence[str]) -> int:
    """Find the train text that comes most often, the first of several: its index."""
    return list(train).index(Counter(train).most_common(1)[0][0])


def random_reports(studies: int, train: int) -> NDArray[np.int64]:
    """Draw train texts at random, the same each time: (studies,) indices."""
    return np.random.default_rng(_SEED).integers(0, train, studies)


def nearest_neighbours(studies: NDArray[np.float32], train: NDArray[np.float32]) -> NDArray[np.int64]:
    """Find the train study with the nearest evidence, by Euclidean distance between logits.

    Args:
        studies: (N, T) probabilities of a classifier.
        train: (M, T) likewise.

    Returns:
        (N,) indices into ``train``.
    """
    a, b = log_odds(studies), log_odds(train)
    return np.array([np.argmin(((b - row) ** 2).sum(1)) for row in a], np.int64)


def _ngrams(words: list[str]) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for n in range(1, _ORDER + 1) for i in range(len(words) - n + 1))
