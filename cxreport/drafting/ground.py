"""Ground: maps of sentences and words over the patches of the image.

Patches and texts are compared in the space that they share. The map of a sentence is the softmax of the patches'
similarities to its content, smoothed; that of a word is the product of its sentence's map and the patches' similarities
to the word. Where a network attended anew at every word, its attention takes the place of the sentence's map. The
co-attention of a sentence does not enter: it was chosen before the sentence's topic was, and the product of both points
at fewer of the radiologists' boxes (.37 of them in place of .41; docs/experiments.md). No gradients are needed.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxreport.drafting.grid import resized
from cxreport.model.manifest import Manifest
from cxreport.text.tokens import text_ids
from cxreport.types import Decoding, Encoding, Floats, SentenceIds

if TYPE_CHECKING:
    from cxreport.model.session import Model

_SMALL = 1e-9
_SIGMA = 1.5
"""Standard deviation, in embedded patches, of the smoothing: the receptive fields of neighbours overlap."""


def ground(model: Model, encodings: Sequence[Encoding], decodings: Sequence[Decoding]) -> list[Decoding]:
    """Give every sentence and word of every study a map over the patches, each with a sum of 1.

    The content of a sentence is its tag where it was planned to state one, else its words. A bundle without a text
    encoder leaves the decoder's own attention, which its words share. Studies without an image stay as they are.

    Args:
        model: that wrote the sentences.
        encodings: of the studies.
        decodings: of the same studies.
    """
    return [
        Decoding(tuple(_grounded(model, encoding, sentence) for sentence in decoding.sentences))
        for encoding, decoding in zip(encodings, decodings, strict=True)
    ]


def text_map(model: Model, encoding: Encoding, text: str) -> Floats | None:
    """(P',) map of a text over an image, such as the name of a finding; None without a text encoder."""
    if encoding.patch_embeddings is None:
        return None
    embedding = model.encode_text(text_ids(model.manifest.text_vocabulary, [text]))
    weights: Floats = _similarity_maps(encoding.patch_embeddings, embedding)[0]
    return weights


def _grounded(model: Model, encoding: Encoding, sentence: SentenceIds) -> SentenceIds:
    if encoding.patches is None:
        return sentence
    if encoding.patch_embeddings is None:
        return _attended(sentence, len(encoding.patches))
    words = np.array([sentence.ids], np.int64)
    if sentence.word_attention is None:
        content = words if sentence.planned is None else _plain_ids(model.manifest, sentence.planned)
        word_priors = _similarity_maps(encoding.patch_embeddings, model.encode_text(content))
        weights = word_priors[0]
    else:
        word_priors = np.stack([resized(row, len(encoding.patch_embeddings)) for row in sentence.word_attention])
        weights = word_priors.mean(0)
    return replace(
        sentence,
        attention=weights,
        word_attention=_similarity_maps(encoding.patch_embeddings, model.encode_text(words.T), word_priors),
        decoder_attention=sentence.attention,
    )


def _attended(sentence: SentenceIds, patches: int) -> SentenceIds:
    """A sentence with the decoder's attention as its map and that of its words; a uniform one where it has none."""
    attention, word_attention = sentence.attention, sentence.word_attention
    if attention is None:
        attention = np.full(patches, 1 / patches, np.float32)
    if word_attention is None:
        word_attention = np.repeat(attention[None], len(sentence.ids), axis=0)
    return replace(sentence, attention=attention, word_attention=word_attention)


def _plain_ids(manifest: Manifest, tag: int) -> NDArray[np.int64]:
    """(1, T) words of the plain sentence for a reporting tag."""
    sentence = manifest.lexicon.plain_sentence(manifest.reporting_names[tag])
    ids: NDArray[np.int64] = text_ids(manifest.text_vocabulary, [sentence])
    return ids


def _similarity_maps(patches: Floats, texts: Floats, priors: Floats | None = None) -> Floats:
    """Softmax of the similarities of patches to texts, smoothed.

    Args:
        patches: (P', E) embeddings.
        texts: (N, E) embeddings.
        priors: (1, P') or (N, P') maps that the softmax is multiplied with.

    Returns:
        (N, P') with a sum of 1 each.
    """
    logits = texts @ patches.T
    if priors is not None:
        logits = logits + np.log(np.maximum(priors, _SMALL))
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    kernel = _kernel(math.isqrt(len(patches)))
    smooth = (kernel @ exponentials.reshape(-1, *kernel.shape) @ kernel.T).reshape(exponentials.shape)
    return np.asarray(smooth / smooth.sum(1, keepdims=True), np.float32)


@functools.lru_cache(maxsize=4)
def _kernel(side: int) -> Floats:
    """(side, side) Gaussian; weight beyond the edge is lost."""
    offsets = np.arange(side)[:, None] - np.arange(side)
    weights = np.exp(-0.5 * (offsets / _SIGMA) ** 2)
    return np.asarray(weights / weights.sum(1).max(), np.float32)
