"""The decoder's stages: reports from tags alone, then with patch features, then consensus reports."""

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

_MEASURE_SEED = 1


class Losses(NamedTuple):
    """Losses of the words, the stop decisions and the sections."""

    words: Tensor
    stop: Tensor
    section: Tensor


class ReportTask:
    """The radiologists' reports, from their own tags, with the patch features of an image or without."""

    def __init__(self, config: DecoderConfig, data: DecoderData, decoder: Decoder, images: Images | None) -> None:
        self.module, self._config, self._data, self._images = decoder, config, data, images
        self._batches = Batches(config, data, images, decoder.sizes.patch_dim)

    @property
    def steps(self) -> int:
        """Number of batches."""
        return math.ceil(self._length / self._config.batch)

    @property
    def _length(self) -> int:
        return len(self._data.train)

    def batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        """As `loop.Task` has it."""
        order = rng.permutation(self._length)
        partners = self._images.partner(rng) if self._images else [-1] * len(self._data.train)
        for start in range(0, len(order), self._config.batch):
            rows = order[start : start + self._config.batch]
            hidden = rng.random(len(rows)) < self._config.visual_dropout
            pictures = [-1 if h else partners[self._report(i)] for i, h in zip(rows, hidden, strict=True)]
            yield self._batch(rows, pictures, rng)

    def loss(self, batch: Batch) -> Tensor:
        """Sum of the losses of all decisions."""
        losses = sentence_losses(self.module, batch, self._config.label_smoothing)
        return losses.words + losses.stop + losses.section

    def _report(self, row: int) -> int:
        """Index of the train report that a row of the epoch is about."""
        return row

    def _batch(self, rows: NDArray[np.int64], pictures: list[int], rng: np.random.Generator) -> Batch:
        return self._batches.make([self._data.train[i] for i in rows], pictures, rng)

    def measure(self) -> dict[str, float]:
        """Losses on val, from the reports' own tags without an image."""
        rng, sums = np.random.default_rng(_MEASURE_SEED), np.zeros(3)
        starts = range(0, len(self._data.val), self._config.batch)
        for start in starts:
            reports = self._data.val[start : start + self._config.batch]
            batch = self._batches.make(reports, [-1] * len(reports), rng, noise=False)
            sums += [float(loss) for loss in sentence_losses(self.module, batch, 0.0)]
        words, stop, section = (sums / max(1, len(starts))).round(4)
        return {"val_words": float(words), "val_stop": float(stop), "val_section": float(section)}


class ConsensusTask(ReportTask):
    """Consensus reports, planned as inference plans them."""

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
    """Losses of a batch of reports under teacher forcing, each a mean over its decisions."""
    topics, stop, section = decoder.topics(batch.study, batch.sentences)
    mask = batch.mask.float()
    logits, targets, rows = unroll_words(decoder, topics[batch.mask], batch.words[batch.mask])
    smoothing = label_smoothing if decoder.training else 0.0
    in_vocabulary = targets != UNK
    losses = F.cross_entropy(logits[in_vocabulary], targets[in_vocabulary], label_smoothing=smoothing, reduction="none")
    weights = batch.weights[batch.mask][rows[in_vocabulary]]
    stop_loss = F.binary_cross_entropy_with_logits(stop, batch.last, mask)
    following = mask[:, 1:]  # sentences that have one before them, which decides on their section
    next_sections = batch.sentences.section[:, 1:].float()
    section_loss = F.binary_cross_entropy_with_logits(section[:, :-1], next_sections, following)
    return Losses(
        words=(losses * weights).sum() / weights.sum(),
        stop=stop_loss,
        section=section_loss if following.numel() else stop_loss * 0,
    )


def unroll_words(decoder: Decoder, topics: Tensor, words: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Unroll the word LSTM under teacher forcing, without the sentences that have ended.

    Args:
        decoder: whose word LSTM it is.
        topics: (N, hidden).
        words: (N, T) int64, padded with `PAD`.

    Returns:
        logits (L, V), targets (L,) and rows (L,) of the L words that are not padding.
    """
    lengths = (words != PAD).sum(1)
    order = lengths.argsort(descending=True)
    topics, words, lengths = topics[order], words[order], lengths[order]
    state, previous = decoder.start(len(topics)), torch.full_like(words[:, 0], NO_WORD)
    logits, targets, rows = [], [], []
    for t in range(int(lengths[0])):
        alive = int((lengths > t).sum())
        state = type(state)(state.hidden[:alive], state.cell[:alive])
        word_logits, state = decoder.word(topics[:alive], previous[:alive], state)
        logits.append(word_logits)
        targets.append(words[:alive, t])
        rows.append(order[:alive])
        previous = words[:, t]
    return torch.cat(logits), torch.cat(targets), torch.cat(rows)
