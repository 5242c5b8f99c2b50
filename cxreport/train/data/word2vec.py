"""Start values of the tag embeddings: word2vec (Mikolov et al. 2013) on the report text."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from cxreport.errors import MissingExtraError


def tag_vectors(sentences: Iterable[Iterable[str]], tags: tuple[str, ...], dim: int, seed: int) -> NDArray[np.float32]:
    """Mean word vector of each tag's name, scaled to unit variance; tags of unknown words are random.

    Args:
        sentences: tokenised report text.
        tags: names such as ``Pleural Effusion``.
        dim: length of the vectors.
        seed: one worker and one seed make it reproducible.

    Returns:
        (len(tags), dim) float32.
    """
    try:
        from gensim.models import Word2Vec
    except ImportError as error:
        raise MissingExtraError("Training", "train") from error
    model = Word2Vec(
        [list(s) for s in sentences], vector_size=dim, window=5, min_count=3, sg=1, epochs=10, seed=seed, workers=1
    )
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(len(tags), dim)) / dim**0.5
    for i, tag in enumerate(tags):
        words = [model.wv[w] for w in re.findall(r"[a-z]+", tag.lower()) if w in model.wv]
        if words:
            mean = np.mean(words, axis=0)
            vectors[i] = mean / np.linalg.norm(mean)
    vectors -= vectors.mean(0)  # all words of chest reports resemble each other; what tells the tags apart is the rest
    return np.asarray(vectors / (vectors.std(1, keepdims=True) + 1e-6), np.float32)
