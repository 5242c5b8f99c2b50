"""Reports to tensors: what the decoder sees and has to write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxreport.text.vocabulary import PAD
from cxreport.train.config import DecoderConfig
from cxreport.train.data.targets import ConsensusReport, PlannedSentence, TargetReport, word_ids
from cxreport.types import Detail, Floats

_MOST_WEIGHT = 8.0
_AS_WRITTEN = 0.5  # of the sentences that could do without a detail
_NO_EVIDENCE = 0.2  # of the reports, written without knowing how unusual the evidence is


@dataclass(frozen=True)
class Images:
    """Patch features (N, P, D) in half precision, and for each epoch the image of every report, -1 for none."""

    patches: Tensor
    partner: Callable[[np.random.Generator], list[int]]


@dataclass(frozen=True)
class DecoderData:
    """Reports to write, the names of the reporting tags and the vocabulary."""

    train: list[TargetReport]
    val: list[TargetReport]
    tags: tuple[str, ...]
    vocabulary: tuple[str, ...]
    unusual: Mapping[int, Floats] = field(default_factory=dict)
    """By uid, (R,) how unusual a classifier's evidence is, for the reports that have some."""


class Batch(NamedTuple):
    """B reports of at most S sentences of at most T words, on images of P patches."""

    patches: Tensor  # (B, P, D)
    has_image: Tensor  # (B,)
    tags: Tensor  # (B, R)
    unusual: Tensor  # (B, R)
    plans: Tensor  # (B, S, R)
    details: Tensor  # (B, S, D)
    sections: Tensor  # (B, S) int64
    words: Tensor  # (B, S, T) int64
    real: Tensor  # (B, S) bool: there is such a sentence
    last: Tensor  # (B, S): the report ends here
    weight: Tensor  # (B, S) of the words: sentences of rare tags count more


@dataclass(frozen=True, eq=False)
class _Row:
    """A report on its way into a batch."""

    sentences: list[PlannedSentence]
    planned: list[tuple[str, int] | None]
    """Of each sentence the tag that its topic is planned to tell (1) or to deny (-1)."""
    weights: list[float]
    tags: Floats
    """(R,)"""
    unusual: Floats
    """(R,)"""


class Batches:
    """Makes batches: the order of planned sentences, a classifier's errors, images."""

    def __init__(self, config: DecoderConfig, data: DecoderData, images: Images | None, patch_dim: int) -> None:
        self.config, self.data, self.images, self.patch_dim = config, data, images, patch_dim
        self.words = {w: i for i, w in enumerate(data.vocabulary)}
        self.tags = {t: i for i, t in enumerate(data.tags)}
        self.weights = _sentence_weights(data.train, config.rare_tag_power)

    def make(
        self, reports: list[TargetReport], pictures: list[int], rng: np.random.Generator, noise: bool = True
    ) -> Batch:
        """Put reports together as they were written.

        Args:
            reports: B of them.
            pictures: row of `Images.patches` for each, -1 for none.
            rng: of order and noise.
            noise: off for measuring: the reports' own tags, and all sentences alike.
        """
        rows = []
        for report in reports:
            denied = self._denied(report, rng)
            sentences = self._order(report, denied, rng) if noise else list(report.sentences)
            weights = [self.weights.get(_kind(s), 1.0) if noise else 1.0 for s in sentences]
            planned = [(s.tag, 1) if s.tag else (denied[s], -1) if s in denied else None for s in sentences]
            written = [_plainer(s, rng) for s in sentences] if noise else sentences
            tags, unusual = self._tags(report, rng, noise), self._unusual(report, rng, noise)
            rows.append(_Row(written, planned, weights, tags, unusual))
        return self._assemble(rows, pictures)

    def make_planned(self, reports: list[ConsensusReport], pictures: list[int]) -> Batch:
        """Put reports together whose sentences are laid out as inference plans them."""
        rows = []
        for report in reports:
            planned = [(s.tag, 1) if s.tag else (s.denied[0], -1) if s.denied else None for s in report.sentences]
            weights, plan = [1.0] * len(planned), report.plan
            rows.append(_Row(list(report.sentences), planned, weights, plan.positive, plan.unusual))
        return self._assemble(rows, pictures)

    def _assemble(self, rows: list[_Row], pictures: list[int]) -> Batch:
        r, longest = len(self.data.tags), max(len(row.sentences) for row in rows)
        plans, details = torch.zeros(len(rows), longest, r), torch.zeros(len(rows), longest, len(Detail))
        sections = torch.zeros(len(rows), longest, dtype=torch.int64)
        last, weight = torch.zeros(len(rows), longest), torch.ones(len(rows), longest)
        real = torch.zeros(len(rows), longest, dtype=torch.bool)
        ids: list[list[int]] = []
        for b, row in enumerate(rows):
            count = len(row.sentences)
            for s, (sentence, planned) in enumerate(zip(row.sentences, row.planned, strict=True)):
                sections[b, s] = int(sentence.impression)
                details[b, s] = torch.tensor([float(d in sentence.details) for d in Detail])
                if planned is not None:
                    plans[b, s, self.tags[planned[0]]] = planned[1]
            weight[b, :count] = torch.tensor(row.weights)
            real[b, :count] = True
            last[b, count - 1] = 1
            ids += [word_ids(s.words, self.words) for s in row.sentences]
        words = torch.full((len(rows), longest, max(map(len, ids))), PAD)
        words[real] = torch.nn.utils.rnn.pad_sequence([torch.tensor(i) for i in ids], True, PAD)
        tags, unusual = (torch.from_numpy(np.stack([getattr(row, f) for row in rows])) for f in ("tags", "unusual"))
        patches, has_image = self._patches(pictures)
        return Batch(patches, has_image, tags, unusual, plans, details, sections, words, real, last, weight)

    def _denied(self, report: TargetReport, rng: np.random.Generator) -> dict[PlannedSentence, str]:
        """Sentences that are planned to deny a tag, and the tag: some of those that deny any."""
        able = [s for s in report.sentences if s.denied and s.tag is None]
        chosen = rng.permutation(len(able))[: rng.integers(0, len(self.config.denied) + 1)]
        return {able[i]: able[i].denied[int(rng.integers(len(able[i].denied)))] for i in chosen}

    def _order(
        self, report: TargetReport, denied: Collection[PlannedSentence], rng: np.random.Generator
    ) -> list[PlannedSentence]:
        """As inference plans: what tells a tag, then what has to deny one, then the rest; the planned in any order."""
        keys = [
            (s.impression, s.tag is None, s not in denied, rng.random() if s.tag or s in denied else i)
            for i, s in enumerate(report.sentences)
        ]
        return [report.sentences[i] for i in sorted(range(len(keys)), key=keys.__getitem__)]

    def _tags(self, report: TargetReport, rng: np.random.Generator, noise: bool) -> NDArray[np.float32]:
        """What the semantic features see: the report's own tags as probabilities, with a classifier's errors."""
        present = np.array([t in report.tags for t in self.data.tags])
        if noise:
            flip = np.where(present, self.config.tag_dropout, self.config.tag_noise)
            present = present ^ (rng.random(len(present)) < flip)
        strength = rng.uniform(0.2, 1.0, len(present)) if noise else np.full(len(present), 0.6)
        return np.asarray(present * strength, np.float32)

    def _unusual(self, report: TargetReport, rng: np.random.Generator, noise: bool) -> Floats:
        known = self.data.unusual.get(report.uid)
        if known is None or (noise and rng.random() < _NO_EVIDENCE):
            return np.zeros(len(self.data.tags), np.float32)
        return known

    def _patches(self, pictures: list[int]) -> tuple[Tensor, Tensor]:
        has_image = torch.tensor([float(p >= 0) for p in pictures])
        if self.images is None:
            return torch.zeros(len(pictures), 1, self.patch_dim), has_image
        return self.images.patches[[max(p, 0) for p in pictures]].float(), has_image


def _plainer(sentence: PlannedSentence, rng: np.random.Generator) -> PlannedSentence:
    """The sentence or one of its plainer forms."""
    if not sentence.plainer or rng.random() < _AS_WRITTEN:
        return sentence
    words, details = sentence.plainer[int(rng.integers(len(sentence.plainer)))]
    return replace(sentence, words=words, details=details)


def _kind(sentence: PlannedSentence) -> tuple[str | tuple[str, ...], bool]:
    """What a sentence tells, or denies, and in which section."""
    return sentence.tag or sentence.denied, sentence.impression


def _sentence_weights(reports: list[TargetReport], power: float) -> dict[tuple[str | tuple[str, ...], bool], float]:
    """Weight of each kind of planned sentence: (most frequent / its own count) ** power, at most `_MOST_WEIGHT`."""
    counts = Counter(_kind(s) for r in reports for s in r.sentences if s.tag or s.denied)
    most = max((n for (told, _), n in counts.items() if isinstance(told, str)), default=1)
    return {kind: min(_MOST_WEIGHT, max(1.0, most / n) ** power) for kind, n in counts.items()}
