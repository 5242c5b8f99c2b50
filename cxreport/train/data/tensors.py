"""Reports as tensors: inputs of the decoder, and the words and decisions that it learns."""

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
from cxreport.train.networks.decoder import StudyInput, TopicInput
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
    """By uid, (R,) standard scores of a classifier's evidence, for the reports that have some."""


class Batch(NamedTuple):
    """B reports of at most S sentences of at most T words, on images of P patches."""

    study: StudyInput
    sentences: TopicInput
    """With (B, S) of each."""
    words: Tensor
    """(B, S, T) int64, padded with `PAD`"""
    mask: Tensor
    """(B, S) bool: sentences, in contrast to padding."""
    last: Tensor
    """(B, S) 1 for the last sentence of a report"""
    weights: Tensor
    """(B, S) of the words: sentences of rare tags count more"""


@dataclass(frozen=True, eq=False)
class _Row:
    """Report on its way into a batch."""

    sentences: list[PlannedSentence]
    plans: list[tuple[tuple[str, ...], int] | None]
    """Of each sentence the tag that its topic is planned to tell (1), or those that it is planned to deny (-1)."""
    weights: list[float]
    tags: Floats
    """(R,)"""
    unusual: Floats
    """(R,)"""


class Batches:
    """Batches of reports: the order of planned sentences, a classifier's errors, images."""

    def __init__(self, config: DecoderConfig, data: DecoderData, images: Images | None, patch_dim: int) -> None:
        self.config, self.data, self.images, self.patch_dim = config, data, images, patch_dim
        self.words = {w: i for i, w in enumerate(data.vocabulary)}
        self.tags = {t: i for i, t in enumerate(data.tags)}
        self.weights = _sentence_weights(data.train, config.rare_tag_power)

    def make(
        self, reports: list[TargetReport], pictures: list[int], rng: np.random.Generator, noise: bool = True
    ) -> Batch:
        """Put reports together as their radiologists wrote them.

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
            plans = [((s.tag,), 1) if s.tag else (s.denied, -1) if s in denied else None for s in sentences]
            targets = [_plainer(s, rng) for s in sentences] if noise else sentences
            tags, unusual = self._tags(report, rng, noise), self._unusual(report, rng, noise)
            rows.append(_Row(sentences=targets, plans=plans, weights=weights, tags=tags, unusual=unusual))
        return self._assemble(rows, pictures)

    def make_planned(self, reports: list[ConsensusReport], pictures: list[int]) -> Batch:
        """Put reports together whose sentences are laid out as inference plans them."""
        rows = []
        for report in reports:
            plans = [((s.tag,), 1) if s.tag else (s.denied, -1) if s.denied else None for s in report.sentences]
            rows.append(
                _Row(
                    sentences=list(report.sentences),
                    plans=plans,
                    weights=[1.0] * len(plans),
                    tags=report.plan.positive,
                    unusual=report.plan.unusual,
                )
            )
        return self._assemble(rows, pictures)

    def _assemble(self, rows: list[_Row], pictures: list[int]) -> Batch:
        shape = len(rows), max(len(row.sentences) for row in rows)
        sentences = TopicInput(
            plan=torch.zeros(*shape, len(self.data.tags)),
            detail=torch.zeros(*shape, len(Detail)),
            section=torch.zeros(shape, dtype=torch.int64),
        )
        mask, last, weights = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape), torch.ones(shape)
        for b, row in enumerate(rows):
            count = len(row.sentences)
            self._fill(sentences, b, row)
            weights[b, :count] = torch.tensor(row.weights)
            mask[b, :count] = True
            last[b, count - 1] = 1
        return Batch(
            study=self._study(rows, pictures),
            sentences=sentences,
            words=self._words(rows, mask),
            mask=mask,
            last=last,
            weights=weights,
        )

    def _fill(self, inputs: TopicInput, b: int, row: _Row) -> None:
        """Write the plans of a report's sentences."""
        for s, (sentence, plan) in enumerate(zip(row.sentences, row.plans, strict=True)):
            inputs.section[b, s] = int(sentence.impression)
            details = sentence.details if sentence.planned is None else sentence.planned
            inputs.detail[b, s] = torch.tensor([float(d in details) for d in Detail])
            if plan is not None:
                tags, sign = plan
                inputs.plan[b, s, [self.tags[tag] for tag in tags]] = sign

    def _words(self, rows: list[_Row], mask: Tensor) -> Tensor:
        """(B, S, T) word ids of the sentences at the places of a mask (B, S)."""
        ids = [torch.tensor(word_ids(s.words, self.words)) for row in rows for s in row.sentences]
        words = torch.full((*mask.shape, max(map(len, ids))), PAD)
        words[mask] = torch.nn.utils.rnn.pad_sequence(ids, True, PAD)
        return words

    def _denied(self, report: TargetReport, rng: np.random.Generator) -> set[PlannedSentence]:
        """Sentences that are planned to deny their tags: some of those that deny any."""
        denials = [s for s in report.sentences if s.denied and s.tag is None]
        sample = rng.permutation(len(denials))[: rng.integers(0, len(self.config.denied) + 1)]
        return {denials[i] for i in sample}

    def _order(
        self, report: TargetReport, denied: Collection[PlannedSentence], rng: np.random.Generator
    ) -> list[PlannedSentence]:
        """The order of inference: what tells a tag, then what has to deny one, then the rest; planned ones shuffled."""
        keys = [
            (s.impression, s.tag is None, s not in denied, rng.random() if s.tag or s in denied else i)
            for i, s in enumerate(report.sentences)
        ]
        return [report.sentences[i] for i in sorted(range(len(keys)), key=keys.__getitem__)]

    def _tags(self, report: TargetReport, rng: np.random.Generator, noise: bool) -> NDArray[np.float32]:
        """(R,) probabilities for the semantic features: the report's own tags, with a classifier's errors."""
        present = np.array([t in report.tags for t in self.data.tags])
        if noise:
            flip = np.where(present, self.config.tag_dropout, self.config.tag_noise)
            present = present ^ (rng.random(len(present)) < flip)
        strength = rng.uniform(0.2, 1.0, len(present)) if noise else np.full(len(present), 0.6)
        return np.asarray(present * strength, np.float32)

    def _unusual(self, report: TargetReport, rng: np.random.Generator, noise: bool) -> Floats:
        unusual = self.data.unusual.get(report.uid)
        if unusual is None or (noise and rng.random() < _NO_EVIDENCE):
            return np.zeros(len(self.data.tags), np.float32)
        return unusual

    def _study(self, rows: list[_Row], pictures: list[int]) -> StudyInput:
        if self.images is None:
            patches = torch.zeros(len(pictures), 1, self.patch_dim)
        else:
            patches = self.images.patches[[max(picture, 0) for picture in pictures]].float()
        return StudyInput(
            patches=patches,
            has_image=torch.tensor([float(picture >= 0) for picture in pictures]),
            tags=torch.from_numpy(np.stack([row.tags for row in rows])),
            unusual=torch.from_numpy(np.stack([row.unusual for row in rows])),
        )


def _plainer(sentence: PlannedSentence, rng: np.random.Generator) -> PlannedSentence:
    """The sentence or one of its plainer forms."""
    if not sentence.plainer or rng.random() < _AS_WRITTEN:
        return sentence
    words, details = sentence.plainer[int(rng.integers(len(sentence.plainer)))]
    return replace(sentence, words=words, details=details)


def _kind(sentence: PlannedSentence) -> tuple[str | tuple[str, ...], bool]:
    """Tag that a sentence tells, or tags that it denies, and whether in the Impression."""
    return sentence.tag or sentence.denied, sentence.impression


def _sentence_weights(reports: list[TargetReport], power: float) -> dict[tuple[str | tuple[str, ...], bool], float]:
    """Weight of each kind of planned sentence: (most frequent / its own count) ** power, at most `_MOST_WEIGHT`."""
    counts = Counter(_kind(s) for r in reports for s in r.sentences if s.tag or s.denied)
    most = max((n for (tags, _), n in counts.items() if isinstance(tags, str)), default=1)
    return {kind: min(_MOST_WEIGHT, max(1.0, most / n) ** power) for kind, n in counts.items()}
