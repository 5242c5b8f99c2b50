"""The captioner's stage: captions, or whole reports as one sequence, from the patch features of images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cxreport.text.vocabulary import END, FULL_STOP, NEXT_SECTION, PAD, UNK
from cxreport.train.config import CaptionerConfig
from cxreport.train.data.targets import TargetReport
from cxreport.train.data.tensors import Images
from cxreport.train.networks.captioner import Captioner

Words = tuple[str, ...]


def report_words(report: TargetReport) -> Words:
    """A report as one sequence: a full stop behind each sentence, a mark where the Impression begins."""
    words: list[str] = []
    for impression in (False, True):
        sentences = [s for s in report.sentences if s.impression is impression]
        words += [NEXT_SECTION] * impression
        words += [word for s in sentences for word in (*s.words, FULL_STOP)]
    return tuple(words)


@dataclass(frozen=True, eq=False)
class CaptionData:
    """Texts of images, and the vocabulary that they are written in."""

    vocabulary: tuple[str, ...]
    images: Images
    """Patch features, and the image that goes with each entry of ``texts``."""
    texts: Sequence[Sequence[Words]]
    """Of each entry its texts, one of which is drawn anew each epoch."""
    val_patches: Tensor
    """(N, P, D)"""
    val_texts: Sequence[Words]
    """N of them."""


class CaptionBatch(NamedTuple):
    """Images and a text of each."""

    patches: Tensor
    """(B, P, D)"""
    texts: Sequence[Words]


class CaptionTask:
    """A text of each image, word by word."""

    def __init__(self, config: CaptionerConfig, captioner: Captioner, data: CaptionData) -> None:
        self.module, self._config, self._data = captioner, config, data
        self._index = {word: i for i, word in enumerate(data.vocabulary)}

    @property
    def steps(self) -> int:
        """Number of batches."""
        return math.ceil(len(self._data.texts) / self._config.batch)

    def batches(self, rng: np.random.Generator) -> Iterator[CaptionBatch]:
        """As `loop.Task` has it; entries that have no image this epoch are passed over."""
        partners = self._data.images.partner(rng)
        texts = [texts[int(rng.integers(len(texts)))] for texts in self._data.texts]
        order = [i for i in rng.permutation(len(texts)) if partners[i] >= 0]
        for start in range(0, len(order), self._config.batch):
            rows = order[start : start + self._config.batch]
            patches = self._data.images.patches[[partners[i] for i in rows]].float()
            yield CaptionBatch(patches, [texts[i] for i in rows])

    def loss(self, batch: CaptionBatch) -> Tensor:
        """Cross entropy per word; with attention also the unevenness of its mean over a text (Xu et al., eq. 14)."""
        loss, attention = self._word_loss(batch, self._config.label_smoothing)
        if attention is None:
            return loss
        return loss + self._config.doubly_stochastic * ((1 - attention * attention.shape[1]) ** 2).mean()

    def measure(self) -> dict[str, float]:
        """Mean loss per word on val."""
        patches, texts, size = self._data.val_patches, self._data.val_texts, self._config.batch
        batches = (CaptionBatch(patches[i : i + size].float(), texts[i : i + size]) for i in range(0, len(texts), size))
        losses = [float(self._word_loss(batch, 0.0)[0]) for batch in batches]
        return {"val_words": round(float(np.mean(losses)), 4)} if losses else {}

    def _word_loss(self, batch: CaptionBatch, smoothing: float) -> tuple[Tensor, Tensor | None]:
        """Cross entropy per word in the vocabulary, and the mean attention over each text."""
        longest = self._config.max_words
        ids = [torch.tensor([*(self._index.get(w, UNK) for w in text[:longest]), END]) for text in batch.texts]
        words = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=PAD)
        logits, targets, attention = self.module.words(batch.patches, words)
        in_vocabulary = targets != UNK
        return F.cross_entropy(logits[in_vocabulary], targets[in_vocabulary], label_smoothing=smoothing), attention
