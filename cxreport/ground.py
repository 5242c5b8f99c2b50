"""Ground: ties sentences and words to patches of the image.

What a decoder attended to while it wrote says where it looked, not what for. The space that images and texts share
says what each patch looks like. The map of a sentence is the product of both: softmax(log attention + similarity of the
patches to the sentence), and that of a word the product of its sentence's map and the patches' similarity to the word.
No gradients are needed, so the ONNX graphs do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxreport.bundle import PAD
from cxreport.types import Decoding, Encoding, Floats, SentenceIds

if TYPE_CHECKING:
    from cxreport.session import Model

_SMALL = 1e-9


def ground(model: Model, encodings: Sequence[Encoding], decodings: Sequence[Decoding]) -> list[Decoding]:
    """Give every sentence and word of every study a map over the patches, each with a sum of 1.

    A bundle without a text encoder leaves the decoder's own attention, which its words share. Studies without an
    image stay as they are.

    Args:
        model: that wrote the sentences.
        encodings: of the studies.
        decodings: of the same studies.
    """
    return [
        Decoding(tuple(_grounded(model, encoding, sentence) for sentence in decoding.sentences))
        for encoding, decoding in zip(encodings, decodings, strict=True)
    ]


def text_map(model: Model, encoding: Encoding, ids: Sequence[int]) -> Floats | None:
    """(P,) where an image speaks of a text; None without an image or a text encoder.

    Args:
        model: a loaded bundle.
        encoding: of the image.
        ids: words of the text.
    """
    if encoding.patch_embeddings is None or not ids:
        return None
    return _softmax(_similarity(model, encoding.patch_embeddings, [ids])[0])


def _grounded(model: Model, encoding: Encoding, sentence: SentenceIds) -> SentenceIds:
    if encoding.patches is None:
        return sentence
    attention, own = sentence.attention, sentence.word_attention
    if attention is None:
        attention = np.full(len(encoding.patches), 1 / len(encoding.patches), np.float32)
    if encoding.patch_embeddings is None:
        words = np.repeat(attention[None], len(sentence.ids), axis=0) if own is None else own
        return replace(sentence, attention=attention, word_attention=words)
    patches = len(encoding.patch_embeddings)
    similarity = _similarity(model, encoding.patch_embeddings, [sentence.ids, *([word] for word in sentence.ids)])
    whole = _softmax(_log(resized(attention, patches)) + similarity[0])
    before = whole[None] if own is None else np.stack([resized(row, patches) for row in own])
    return replace(sentence, attention=whole, word_attention=_softmax(_log(before) + similarity[1:]))


def _similarity(model: Model, patches: Floats, texts: Sequence[Sequence[int]]) -> Floats:
    """(N, P) logits: how much each patch looks like each of N texts."""
    ids: NDArray[np.int64] = np.full((len(texts), max(map(len, texts))), PAD, np.int64)
    for row, text in zip(ids, texts, strict=True):
        row[: len(text)] = text
    return np.asarray(model.encode_text(ids) @ patches.T, np.float32)


def resized(weights: Floats, patches: int) -> Floats:
    """(P,) of a square grid -> (patches,) of a finer or coarser one, bilinearly, with a sum of 1."""
    side, wanted = math.isqrt(len(weights)), math.isqrt(patches)
    if side == wanted:
        return weights
    picture = Image.fromarray(weights.reshape(side, side).astype(np.float32))
    scaled = np.asarray(picture.resize((wanted, wanted), Image.Resampling.BILINEAR), np.float32).ravel()
    return np.asarray(scaled / max(float(scaled.sum()), _SMALL), np.float32)


def _log(weights: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(weights, _SMALL)), np.float32)


def _softmax(logits: Floats) -> Floats:
    """Over the last axis."""
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(raised / raised.sum(-1, keepdims=True), np.float32)
