"""Ground: ties sentences and words to patches of the image.

The space that images and texts share says what each patch looks like. The map of a sentence is the softmax of the
patches' likeness to what it tells, smoothed; that of a word is the product of its sentence's map and the patches'
likeness to the word. Where a network attended anew at every word, its attention takes the place of the sentence's map.
The co-attention of a sentence does not enter: it was chosen before the sentence's topic was, and the product of both
points at fewer of the radiologists' boxes (.37 of them in place of .41; docs/experiments.md). No gradients are needed.
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
_REACH = 1.5
"""Standard deviation, in embedded patches, of the smoothing: neighbours share most of what they see."""


def ground(model: Model, encodings: Sequence[Encoding], decodings: Sequence[Decoding]) -> list[Decoding]:
    """Give every sentence and word of every study a map over the patches, each with a sum of 1.

    What a sentence tells is its tag where it was planned to tell one, else its words. A bundle without a text encoder
    leaves the decoder's own attention, which its words share. Studies without an image stay as they are.

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
    """(P',) where an image speaks of a text, such as the name of a finding; None without a text encoder."""
    if encoding.patch_embeddings is None:
        return None
    embedded = model.encode_text(text_ids(model.manifest.text_vocabulary, [text]))
    weights: Floats = _like(encoding.patch_embeddings, embedded)[0]
    return weights


def _grounded(model: Model, encoding: Encoding, sentence: SentenceIds) -> SentenceIds:
    if encoding.patches is None:
        return sentence
    attention, own = sentence.attention, sentence.word_attention
    if attention is None:
        attention = np.full(len(encoding.patches), 1 / len(encoding.patches), np.float32)
    if encoding.patch_embeddings is None:
        words = np.repeat(attention[None], len(sentence.ids), axis=0) if own is None else own
        return replace(sentence, attention=attention, word_attention=words)
    own_ids = np.array([sentence.ids], np.int64)
    told = own_ids if sentence.planned is None else _plain_ids(model.manifest, sentence.planned)
    whole = _like(encoding.patch_embeddings, model.encode_text(told))[0]
    words = model.encode_text(own_ids.T)
    before = whole[None] if own is None else np.stack([resized(row, len(whole)) for row in own])
    if own is not None:
        whole = before.mean(0)
    return replace(
        sentence,
        attention=whole,
        word_attention=_like(encoding.patch_embeddings, words, before),
        decoder_attention=sentence.attention,
    )


def _plain_ids(manifest: Manifest, tag: int) -> NDArray[np.int64]:
    """(1, T) words of the plain sentence for a reporting tag."""
    sentence = manifest.lexicon.plain_sentence(manifest.reporting_names[tag])
    ids: NDArray[np.int64] = text_ids(manifest.text_vocabulary, [sentence])
    return ids


def _like(patches: Floats, texts: Floats, before: Floats | None = None) -> Floats:
    """Where patches look like texts.

    Args:
        patches: (P', E) embedded ones.
        texts: (N, E) embedded ones.
        before: (1, P') or (N, P') maps to be multiplied with.

    Returns:
        (N, P') with a sum of 1 each.
    """
    logits = texts @ patches.T
    if before is not None:
        logits = logits + np.log(np.maximum(before, _SMALL))
    raised = np.exp(logits - logits.max(1, keepdims=True))
    kernel = _kernel(math.isqrt(len(patches)))
    smooth = (kernel @ raised.reshape(-1, *kernel.shape) @ kernel.T).reshape(raised.shape)
    return np.asarray(smooth / smooth.sum(1, keepdims=True), np.float32)


@functools.lru_cache(maxsize=4)
def _kernel(side: int) -> Floats:
    """(side, side) of a Gaussian; what reaches beyond the edge is lost."""
    offsets = np.arange(side)[:, None] - np.arange(side)
    weights = np.exp(-0.5 * (offsets / _REACH) ** 2)
    return np.asarray(weights / weights.sum(1).max(), np.float32)
