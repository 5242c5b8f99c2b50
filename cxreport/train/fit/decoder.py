"""Stages 2 to 4: the decoder, from tags alone, with patch features, and on consensus reports."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from cxreport.text.vocabulary import NO_WORD, PAD, UNK
from cxreport.train.config import DecoderConfig
from cxreport.train.data.targets import ConsensusReport
from cxreport.train.data.tensors import Batch, Batches, DecoderData, Images
from cxreport.train.networks.decoder import Decoder

_MEASURED = 1  # seed of what the measure draws


class Losses(NamedTuple):
    """Of the words, the stop decisions and the sections."""

    words: Tensor
    stop: Tensor
    section: Tensor


class ReportTask:
    """To write the radiologists' reports, from their own tags, with the patch features of an image or without."""

    def __init__(self, config: DecoderConfig, data: DecoderData, decoder: Decoder, images: Images | None) -> None:
        self.module, self._config, self._data, self._images = decoder, config, data, images
        self._batches = Batches(config, data, images, decoder.sizes.patch_dim)

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return math.ceil(self._length / self._config.batch)

    @property
    def _length(self) -> int:
        return len(self._data.train)

    def losses(self, rng: np.random.Generator) -> Iterator[Tensor]:
        """As `loop.Task` has it."""
        order = rng.permutation(self._length)
        partner = self._images.partner(rng) if self._images else [-1] * len(self._data.train)
        for start in range(0, len(order), self._config.batch):
            rows = order[start : start + self._config.batch]
            hidden = rng.random(len(rows)) < self._config.visual_dropout
            pictures = [-1 if h else partner[self._report(i)] for i, h in zip(rows, hidden, strict=True)]
            losses = sentence_losses(self.module, self._batch(rows, pictures, rng), self._config.label_smoothing)
            yield losses.words + losses.stop + losses.section

    def _report(self, row: int) -> int:
        """Which train report a row of the epoch is about."""
        return row

    def _batch(self, rows: NDArray[np.int64], pictures: list[int], rng: np.random.Generator) -> Batch:
        return self._batches.make([self._data.train[i] for i in rows], pictures, rng)

    def measure(self) -> dict[str, float]:
        """Losses on val, from the reports' own tags without an image."""
        rng, sums = np.random.default_rng(_MEASURED), np.zeros(3)
        batches = range(0, len(self._data.val), self._config.batch)
        for i in batches:
            reports = self._data.val[i : i + self._config.batch]
            batch = self._batches.make(reports, [-1] * len(reports), rng, noise=False)
            sums += [float(x) for x in sentence_losses(self.module, batch, 0.0)]
        words, stop, section = (sums / max(1, len(batches))).round(4)
        return {"val_words": float(words), "val_stop": float(stop), "val_section": float(section)}


class ConsensusTask(ReportTask):
    """To write consensus reports, planned as inference plans them."""

    def __init__(
        self,
        config: DecoderConfig,
        data: DecoderData,
        decoder: Decoder,
        images: Images | None,
        reports: Sequence[ConsensusReport],
    ) -> None:
        super().__init__(config, data, decoder, images)
        self._reports = reports

    @property
    def _length(self) -> int:
        return len(self._reports)

    def _report(self, row: int) -> int:
        return self._reports[row].index

    def _batch(self, rows: NDArray[np.int64], pictures: list[int], rng: np.random.Generator) -> Batch:
        return self._batches.make_planned([self._reports[i] for i in rows], pictures)


def sentence_losses(decoder: Decoder, batch: Batch, label_smoothing: float) -> Losses:
    """Losses of a batch of written reports, each per decision."""
    topics, stop, section = decoder.topics(
        batch.patches, batch.has_image, batch.tags, batch.unusual, batch.plans, batch.details, batch.sections
    )
    real = batch.real.float()
    logits, targets, rows = unroll_words(decoder, topics[batch.real], batch.words[batch.real])
    smoothing = label_smoothing if decoder.training else 0.0
    known = targets != UNK
    each = F.cross_entropy(logits[known], targets[known], label_smoothing=smoothing, reduction="none")
    weight = batch.weight[batch.real][rows[known]]
    word_loss = (each * weight).sum() / weight.sum()
    stop_loss = F.binary_cross_entropy_with_logits(stop, batch.last, real)
    inner = real[:, 1:]  # the section of the next sentence, where there is one
    next_section = F.binary_cross_entropy_with_logits(section[:, :-1], batch.sections[:, 1:].float(), inner)
    return Losses(word_loss, stop_loss, next_section if inner.numel() else stop_loss * 0)


def unroll_words(decoder: Decoder, topics: Tensor, words: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Unroll the word LSTM under teacher forcing, leaving out sentences that have ended.

    Args:
        decoder: whose word LSTM it is.
        topics: (N, hidden).
        words: (N, T) int64, filled up with `PAD`.

    Returns:
        logits (L, V), targets (L,) and rows (L,) of the L words that are no filling.
    """
    lengths = (words != PAD).sum(1)
    order = lengths.argsort(descending=True)
    topics, words, lengths = topics[order], words[order], lengths[order]
    state, before = decoder.start(len(topics)), None
    logits, targets, rows = [], [], []
    for t in range(int(lengths[0])):
        alive = int((lengths > t).sum())
        state = type(state)(state.hidden[:alive], state.cell[:alive])
        previous = torch.full_like(words[:alive, 0], NO_WORD) if before is None else before[:alive]
        step, state = decoder.word(topics[:alive], previous, state)
        logits.append(step)
        targets.append(words[:alive, t])
        rows.append(order[:alive])
        before = words[:, t]
    return torch.cat(logits), torch.cat(targets), torch.cat(rows)
