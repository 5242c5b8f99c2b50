"""To write captions, or whole reports as one sequence, from the patch features of images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

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


class CaptionTask:
    """To write a text of each image; an image may have several, one of which is drawn anew each epoch."""

    def __init__(
        self,
        config: CaptionerConfig,
        captioner: Captioner,
        vocabulary: tuple[str, ...],
        images: Images,
        texts: Sequence[Sequence[Words]],
        val: tuple[Tensor, Sequence[Words]],
    ) -> None:
        """Start.

        Args:
            config: the recipe's ``[captioner]``.
            captioner: start values.
            vocabulary: of the texts.
            images: patch features, and which image goes with which entry of ``texts``.
            texts: of each entry its texts.
            val: (N, P, D) patch features and a text each.
        """
        self.module, self._config, self._images, self._val = captioner, config, images, val
        self._index = {word: i for i, word in enumerate(vocabulary)}
        self._texts = texts

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return math.ceil(len(self._texts) / self._config.batch)

    def losses(self, rng: np.random.Generator) -> Iterator[Tensor]:
        """As `loop.Task` has it; entries that have no image this epoch are passed over."""
        partner = self._images.partner(rng)
        chosen = [texts[int(rng.integers(len(texts)))] for texts in self._texts]
        order = [i for i in rng.permutation(len(self._texts)) if partner[i] >= 0]
        for start in range(0, len(order), self._config.batch):
            rows = order[start : start + self._config.batch]
            patches = self._images.patches[[partner[i] for i in rows]].float()
            yield self._loss(patches, [chosen[i] for i in rows], self._config.label_smoothing)

    def measure(self) -> dict[str, float]:
        """Mean loss per word on val."""
        patches, texts = self._val
        batch = self._config.batch
        losses = [
            float(self._loss(patches[i : i + batch].float(), texts[i : i + batch], 0.0, regular=False))
            for i in range(0, len(texts), batch)
        ]
        return {"val_words": round(float(np.mean(losses)), 4)} if losses else {}

    def _loss(self, patches: Tensor, texts: Sequence[Words], smoothing: float, regular: bool = True) -> Tensor:
        """Cross entropy per word; with attention also how far it is from looking everywhere alike (Xu et al., 14)."""
        longest = self._config.max_words
        ids = [torch.tensor([*(self._index.get(w, UNK) for w in text[:longest]), END]) for text in texts]
        words = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=PAD)
        logits, targets, looked = self.module.words(patches, words)
        known = targets != UNK
        loss = F.cross_entropy(logits[known], targets[known], label_smoothing=smoothing)
        if looked is None or not regular:
            return loss
        return loss + self._config.doubly_stochastic * ((1 - looked * looked.shape[1]) ** 2).mean()
